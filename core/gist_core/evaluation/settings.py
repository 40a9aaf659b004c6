"""What the rows of a folder depend on, in ``run.json`` beside them, so that a run that goes on measures the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gist_core.compressor import TextCompressor
from gist_core.errors import InvalidInputError
from gist_core.evaluation.quality import OURS, Tasks
from gist_core.evaluation.rows import read_rows
from gist_core.evaluation.tasks import side_of
from gist_core.files import write_whole
from gist_core.loading import DEFAULT

FILE = "run.json"
READER, LM = "reader", "lm"
_ROWS_OF = {READER: "answers.jsonl", LM: "likelihood.jsonl"}  # the others are in all rows
_ALL_ROWS = ("rows.jsonl", "thresholds.jsonl", *_ROWS_OF.values())
_MODEL_FILES = {".json", ".safetensors"}
_EDGE = 2**20  # bytes read of either end of a file of weights: no training leaves them as they were
_DIGITS = 12

Parts = dict[str, str]


@dataclass(frozen=True)
class RunSettings:
    """What was measured, in words that are compared.

    Args:
        systems: The ``model_id`` of each system by its name, ours with a digest of its files or its hub id.
        data: The file of each set with its digest.
        sides: The side of each set that was measured, as ``tasks.side_of`` says it.
        models: The reader and the language model (``READER``, ``LM``), as far as there are any.
    """

    systems: Parts = field(default_factory=dict)
    data: Parts = field(default_factory=dict)
    sides: Parts = field(default_factory=dict)
    models: Parts = field(default_factory=dict)


def claim(out: Path, wanted: RunSettings) -> RunSettings:
    """Make the folder and write down what is measured there, beside what was before.

    Rows of an older release, without ``run.json``, are taken for what is measured now.

    Args:
        out: Folder of the measurement.
        wanted: What is measured now.

    Returns:
        That and what else the folder's rows are of.

    Raises:
        InvalidInputError: The rows there are of something else, or the folder cannot be made.
    """
    known = _with_rows(out, _read(out / FILE))
    for kind, name, old, new in _differences(known, wanted):
        own = out / _ROWS_OF[name] if kind == "models" else out
        raise InvalidInputError(
            f"The rows in {str(out)!r} are of another {_named(kind, name)}: {old!r}, not {new!r}.",
            hint=f"Choose another --out, or delete {str(own)!r} to measure anew.",
        )
    together = RunSettings(**{kind: own | getattr(wanted, kind) for kind, own in asdict(known).items()})
    _write(out, together)
    return together


def settings_of(
    tasks: Tasks, systems: Mapping[str, TextCompressor], model: str, reader: str | None = None, lm: str | None = None
) -> RunSettings:
    """The settings of a measurement; ``model``, ``reader`` and ``lm`` as they were named to be loaded.

    Raises:
        InvalidInputError: A file of records cannot be read.
    """
    ours = DEFAULT if model == "default" else Path(model).expanduser()
    ids = {name: system.model_id for name, system in systems.items()}
    return RunSettings(
        ids | {OURS: f"{ids[OURS]} ({_digest_of_model(ours) if ours.is_dir() else model})"},
        {name: f"{path.name} ({_digest_of_file(path)})" for name, path in tasks.files.items()},
        {name: side_of(name, split) for name, split in tasks.splits.items()},
        {kind: _identity(source) for kind, source in ((READER, reader), (LM, lm)) if source},
    )


def told(settings: RunSettings) -> dict[str, str]:
    """What a report says was measured."""
    files = dict.fromkeys(identity.rpartition(" (")[0] for identity in settings.data.values())
    by_side: dict[str, list[str]] = {}
    for name, side in settings.sides.items():
        by_side.setdefault(side, []).append(name)
    sides = [side if len(by_side) == 1 else f"{side} of {', '.join(names)}" for side, names in by_side.items()]
    return {"model": settings.systems[OURS], "data": ", ".join(files), "split": "; ".join(sides), **settings.models}


def _identity(source: str) -> str:
    """The folder's name with a digest of the model's files; what is no folder, a hub id or a function, as it is."""
    folder = Path(source)
    return f"{folder.resolve().name} ({_digest_of_model(folder)})" if folder.is_dir() else source


def _digest_of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:_DIGITS]
    except OSError as error:
        raise InvalidInputError(f"Cannot read {str(path)!r}: {error.strerror or error}.", hint="Check it.") from error


def _digest_of_model(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in _MODEL_FILES):
        digest.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size} ".encode() + _ends(path))
    return digest.hexdigest()[:_DIGITS]


def _ends(path: Path) -> bytes:
    with path.open("rb") as file:
        begin = file.read(_EDGE)
        file.seek(max(0, path.stat().st_size - _EDGE))
        return begin + file.read()


def _read(path: Path) -> RunSettings:
    try:
        found: Any = json.loads(path.read_bytes())
        return RunSettings(**{kind: dict(found.get(kind, {})) for kind in asdict(RunSettings())})
    except (FileNotFoundError, NotADirectoryError):
        return RunSettings()
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InvalidInputError(
            f"{str(path)!r} cannot be read: {error}.", hint="Delete it if the rows beside it are what you measure now."
        ) from error


def _with_rows(out: Path, known: RunSettings) -> RunSettings:
    """Without what no row is of any more, or was not yet when the run was stopped; rows of thresholds are of ours."""
    if known == RunSettings():
        return known
    rows = {name: read_rows(out / name) for name in _ALL_ROWS}
    sets = {row.get("set") for own in rows.values() for row in own}
    systems = {row.get("system", OURS) for own in rows.values() for row in own}
    return RunSettings(
        _only(known.systems, systems),
        _only(known.data, sets),
        _only(known.sides, sets),
        _only(known.models, {name for name, file in _ROWS_OF.items() if rows[file]}),
    )


def _only(parts: Mapping[str, str], names: set[Any]) -> Parts:
    return {name: value for name, value in parts.items() if name in names}


def _differences(known: RunSettings, wanted: RunSettings) -> Iterator[tuple[str, str, str, str]]:
    """Kind, name, the value before and the one now."""
    for kind, own in asdict(wanted).items():
        before = getattr(known, kind)
        yield from ((kind, name, before[name], new) for name, new in own.items() if before.get(name, new) != new)


def _named(kind: str, name: str) -> str:
    if kind == "systems":
        return "model" if name == OURS else f"version of the system {name!r}"
    return {"data": f"file of the set {name!r}", "sides": f"side of the set {name!r}"}.get(kind, name)


def _write(out: Path, settings: RunSettings) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / FILE, (json.dumps(asdict(settings), indent=1) + "\n").encode())
    except OSError as error:
        raise InvalidInputError(
            f"Cannot write to --out {str(out)!r}: {error.strerror or error}.", hint="Name a folder you can write to."
        ) from error
