"""The measurement that ``gist evaluate`` runs: which sets, which systems, and in what order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from gist_core.cases import Case
from gist_core.compressor import TextCompressor
from gist_core.errors import InvalidInputError
from gist_core.evaluation.systems import SYSTEMS, load_available, load_system
from gist_core.evaluation.tasks import load_task, sets_of
from gist_core.records import Split

OURS = "gist"
SETS: dict[str, int | None] = {
    "nq20_even": None,
    "nolicence_squadshifts_new_wiki_10doc": 150,
    "hotpotqa_train100": None,
    "covidqa": 60,
    "fairytaleqa": 100,
    "qmsum_train": 50,
    "nolicence_squadshifts_reddit": 200,
    "policyqa": 200,
    "nolicence_squadshifts_amazon_reviews": 200,
    "qed_dev": None,
    "friendsqa": 200,
}
"""How many questions of each set, at the most; None for all of its side."""
LANGUAGES: dict[str, int | None] = {
    **{f"xquad/{code}": 60 for code in ("ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh")},
    "jaquad": None,
    "cmrc2018": None,
}
ALL_LANGUAGES = "languages"
_SIZES = SETS | LANGUAGES
_SPLIT = {name.partition("/")[0] for name in _SIZES} | {"nolicence_squadshifts_new_wiki", "squad_it_test"}
"""Sets that are trained on: of these a file is never measured whole."""


@dataclass(frozen=True)
class Tasks:
    """The sets of a measurement, in order. Calling gives a set's cases, None for one that is not among them.

    Args:
        files: The file of each set.
        limits: How many cases of it at the most.
        splits: Its side; None for all of it.
    """

    files: Mapping[str, Path]
    limits: Mapping[str, int | None]
    splits: Mapping[str, Split | None]

    def __call__(self, name: str) -> Sequence[Case] | None:
        """The cases of a set."""
        if name not in self.files:
            return None
        return _loaded(self.files[name], name, self.splits[name], self.limits[name])

    def __len__(self) -> int:
        """How many cases there are in all."""
        return sum(len(self(name) or ()) for name in self.files)

    def __iter__(self) -> Iterator[Case]:
        """All cases, set by set."""
        for name in self.files:
            yield from self(name) or ()


@lru_cache(maxsize=32)
def _loaded(path: Path, name: str, split: Split | None, limit: int | None) -> tuple[Case, ...]:
    return tuple(load_task(path, name, split, limit))


def chosen_tasks(data: Path, sets: Sequence[str] | None, split: Split, limit: int | None) -> tuple[Tasks, list[str]]:
    """What is measured, and those of ``SETS`` that are left out because a folder lacks them.

    A folder is measured on those of ``SETS`` it has, or on all it has if that is none; a file as a whole, unless it is
    one of the sets that are trained on.

    Args:
        data: A folder of sets, or a file that is one.
        sets: Names; ``"languages"`` stands for ``LANGUAGES``. None for the default.
        split: The side that is measured.
        limit: Cases of each set at the most; None for as many as the tables say.

    Raises:
        InvalidInputError: There is no such data, or it lacks a set that is named.
    """
    found = sets_of(data)
    names = _expanded(sets) if sets else [name for name in SETS if name in found] or list(found)
    files = {name: _file(name, found, data) for name in dict.fromkeys(names)}
    limits = {name: _SIZES.get(name) if limit is None else limit for name in files}
    whole = {name for name in files if data.is_file() and name.partition("/")[0] not in _SPLIT}
    tasks = Tasks(files, limits, {name: None if name in whole else split for name in files})
    known = [name for name in SETS if name in files]
    return tasks, [] if sets or not known or data.is_file() else [name for name in SETS if name not in found]


def chosen_systems(
    ours: TextCompressor, names: Sequence[str] | None, *, alone: bool
) -> tuple[dict[str, TextCompressor], dict[str, str]]:
    """Ours and those beside it, and why some of the default ones cannot be had.

    Args:
        ours: Always the first.
        names: Which others, as ``load_system`` takes them; None for all of ``SYSTEMS`` that can be had.
        alone: No others.

    Raises:
        GistError: One that is named cannot be had.
    """
    if alone and names:
        raise InvalidInputError(f"Systems are named, {', '.join(names)}, and none are wanted.", hint="Leave one out.")
    if names:
        return {OURS: ours, **{name: load_system(name) for name in names}}, {}
    systems, missing = load_available(() if alone else SYSTEMS)
    return {OURS: ours, **systems}, missing


def _expanded(sets: Sequence[str]) -> list[str]:
    return [name for given in sets for name in (LANGUAGES if given == ALL_LANGUAGES else (given,))]


def _file(name: str, found: Mapping[str, Path], data: Path) -> Path:
    path = found.get(name.partition("/")[0])
    if path is None:
        raise InvalidInputError(f"There is no set {name!r} in {str(data)!r}.", hint=f"It has: {', '.join(found)}.")
    return path
