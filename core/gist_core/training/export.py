"""A trained network -> the checkpoint that ships: vocabulary trimmed, fusion learned, matrices in int8."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer

from gist_core.cases import load_cases
from gist_core.checkpoint import (
    SCALE,
    read_manifest,
    stored_tensors,
    to_int8,
    update_checkpoint,
    write_checkpoint,
    write_manifest,
)
from gist_core.errors import InvalidInputError
from gist_core.records import read_records
from gist_core.selective.engine import (
    Engine,
    Parts,
    foreign_tensors,
    fusion_tensors,
    load_parts,
    save_parts,
    settings_of,
    start_engine,
)
from gist_core.selective.foreign import Foreign
from gist_core.selective.fusion import AS_IT_IS, MODES, Calibration, Mode, Rating, untrained
from gist_core.selective.model import SelectiveModel
from gist_core.training.fusion import (
    Floats,
    Rated,
    calibrate,
    calibrate_worst,
    choose_exponent,
    fit_fusion,
    held_out_logits,
    rate_cases,
    unseen_logits,
)
from gist_core.training.imitation import imitation
from gist_core.training.mix import LANGUAGES_MIX, SELECTIVE_MIX
from gist_core.training.tables import as_tables, table_cases
from gist_core.training.vocabulary import reachable, renumbered, trim_vocabulary

CASES: dict[Mode, dict[str, int]] = {
    "query": {
        "nq20_even": 200,
        "nolicence_squadshifts_new_wiki_10doc": 300,
        "nolicence_squadshifts_new_wiki": 300,
        "nolicence_squadshifts_reddit": 400,
        "nolicence_squadshifts_amazon_reviews": 300,
        "covidqa": 60,
        "fairytaleqa": 150,
        "qmsum_train": 20,
        "friendsqa": 200,
        "policyqa": 200,
        "qed_dev": 100,
    },
    "foreign": {
        **{f"xquad/{code}": 100 for code in ("ar", "de", "el", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh")},
        "jaquad": 100,
        "cmrc2018": 100,
    },
    "free": {
        "nolicence_squadshifts_new_wiki": 200,
        "fairytaleqa": 40,
        "covidqa": 8,
        "qmsum_train": 8,
        "friendsqa": 100,
    },
    "rows": {
        "nolicence_squadshifts_new_wiki": 100,
        "nolicence_squadshifts_reddit": 100,
        "policyqa": 100,
        "friendsqa": 100,
        "qed_dev": 60,
    },
}
"""Of which sets, and of how many questions each, a mode's rating is learned; every set counts alike.

For the mode ``"rows"`` their sentences become the rows of tables, and ``TABLES`` questions over tables are made up.
"""
CAUTIOUS: tuple[Mode, ...] = ("query", "foreign")  # the modes of calls that a threshold means something to
TABLES = 400
SEED = 13
COUNTED = (*SELECTIVE_MIX, *LANGUAGES_MIX)  # sets whose word pieces are counted, to know which are left out


def export_selective(
    model: SelectiveModel,
    tokenizer: Tokenizer,
    data: Path,
    out: Path,
    *,
    name: str,
    version: str,
    vocabulary: int,
    ratings: Mapping[Mode, Rating] | None = None,
    foreign: Foreign | None = None,
) -> None:
    """Write ``out/checkpoint`` in int8 and, to measure what that costs, ``out/full-precision``.

    The fusions are fitted to the int8 weights, but for those given as ``ratings``, which stay as they are, and so does
    what other languages are read with (``foreign``).
    """
    trimmed, smaller = trim_vocabulary(model, tokenizer, _texts(data), vocabulary)
    parts = Parts(trimmed, smaller, {mode: Rating(untrained()) for mode in MODES}, foreign)
    with tempfile.TemporaryDirectory() as temporary:
        draft = Path(temporary) / "draft"
        save_parts(draft, parts, name, version, int8=True)
        fitted = fit(draft, data, ratings or {})
    learned = replace(fitted, model=parts.model)
    save_parts(out / "checkpoint", learned, name, version, int8=True)
    save_parts(out / "full-precision", learned, name, f"{version}-fp32", int8=False)


def fit(folder: Path, data: Path, ratings: Mapping[Mode, Rating]) -> Parts:
    """The parts of a checkpoint with every rating that is not given learned anew on the validation split."""
    parts = load_parts(folder)
    engine = start_engine(parts, "auto")
    return replace(parts, ratings={mode: ratings.get(mode) or _fit_rating(engine, data, mode) for mode in MODES})


def export_languages(start: Path, foreign: Foreign, data: Path, out: Path, version: str) -> None:
    """Write to ``out`` the checkpoint ``start`` with what it reads other languages with, and a rating for those.

    To make room, pieces that no text comes to are left out. All that is kept is kept bit for bit.
    """
    parts, tensors = load_parts(start), stored_tensors(start)
    kept, words = reachable(parts.tokenizer), "model.embeddings.word.weight"
    tensors |= {key: tensors[key][kept] for key in (words, words + SCALE) if key in tensors}
    smaller = SelectiveModel(replace(parts.model.config, vocab_size=len(kept)))
    more = replace(parts, model=smaller, tokenizer=renumbered(parts.tokenizer, kept), foreign=foreign)
    manifest = replace(read_manifest(start), version=version, config=settings_of(more))
    write_checkpoint(out, manifest, tensors | to_int8(foreign_tensors(more)), more.tokenizer.to_str())
    refit(out, data, "foreign", version)


def refit(folder: Path, data: Path, mode: Mode, version: str, seed: int = SEED, *, like: Path | None = None) -> Rating:
    """Learn the rating of one mode of a finished checkpoint anew, in place and under a new version; all else stays.

    ``seed``: of the questions that are drawn, and of the fusion's first weights. ``like``: a checkpoint whose rating of
    the same calls is imitated, with its exponent and calibrations; else it is learned where the evidence is.

    Raises:
        InvalidInputError: No question of the mode's sets makes a call of that mode, or ``like`` cuts other units.
    """
    parts = load_parts(folder)
    engine = start_engine(parts, "auto")
    learned = _imitated(engine, data, mode, seed, load_parts(like)) if like else _fit_rating(engine, data, mode, seed)
    kept = parts.with_rating(mode, learned)
    manifest = replace(read_manifest(folder), version=version, config=settings_of(kept))
    update_checkpoint(folder, manifest, fusion_tensors(kept))
    return learned


def recalibrate(folder: Path, data: Path, mode: Mode, version: str, seed: int = SEED) -> Calibration:
    """Learn anew what a threshold loses with a finished checkpoint, in place and under a new version.

    Its weights stay, and so does what it keeps under any budget without a threshold. A fusion that was learned on the
    same questions is stood in for by fusions that have not seen the case they rate.

    Args:
        folder: The checkpoint; its manifest is written anew.
        data: Folder of the sets.
        mode: Of which calls, one of ``CAUTIOUS``.
        version: What the checkpoint is from now on.
        seed: Of which questions are drawn.

    Raises:
        InvalidInputError: The mode has no caution, or the checkpoint no rating of its own for it; no question of the
            mode's sets makes a call of it, or too few do, or their evidence scores alike.
    """
    manifest, parts = read_manifest(folder), load_parts(folder)
    if mode not in CAUTIOUS or mode not in manifest.config["length_exponent"]:
        raise InvalidInputError(
            f"{manifest.model_id} has no thresholds of its own for mode {mode!r}.",
            hint=f"Pass one of: {', '.join(m for m in CAUTIOUS if m in manifest.config['length_exponent'])}.",
        )
    rated, rating = _rated(start_engine(parts, "auto"), data, mode, seed), parts.ratings[mode]
    found = _caution(rated, unseen_logits(rated, rating.fusion, seed=seed), rating.calibration)
    if found == AS_IT_IS:
        raise InvalidInputError(
            f"{len(rated)} questions of mode {mode!r} are too few, or score too much alike, to calibrate by.",
            hint="Give --data with more.",
        )
    caution = {**manifest.config.get("caution", {}), mode: asdict(found)}
    write_manifest(folder, replace(manifest, version=version, config={**manifest.config, "caution": caution}))
    return found


def _fit_rating(engine: Engine, data: Path, mode: Mode, seed: int = SEED) -> Rating:
    """Exponent and calibrations are chosen by fusions that have not seen the case they rate."""
    rated = _rated(engine, data, mode, seed)
    logits = held_out_logits(rated, seed=seed)
    learned = Rating(fit_fusion(rated, seed=seed))
    if mode != "rows":  # a call has one exponent and one caution, those of its own mode
        learned = replace(learned, length_exponent=choose_exponent(rated, logits))
    if mode != "free":
        learned = replace(learned, calibration=calibrate(rated, logits))
    if mode in CAUTIOUS:
        learned = replace(learned, caution=_caution(rated, logits, learned.calibration))
    return learned


def _caution(rated: Sequence[Rated], logits: Sequence[Floats], calibration: Calibration) -> Calibration:
    return calibrate_worst(rated, [calibration(found) for found in logits])


def _imitated(engine: Engine, data: Path, mode: Mode, seed: int, like: Parts) -> Rating:
    wanted = like.ratings[mode]
    shown = _rated(start_engine(like, "auto"), data, mode, seed)
    return replace(
        wanted, fusion=imitation(_rated(engine, data, mode, seed), [wanted.fusion(r.signals) for r in shown])
    )


def rated_cases(engine: Engine, data: Path, mode: Mode, seed: int = SEED) -> list[Rated]:
    """The questions of ``CASES`` for a mode, rated; those that do not make a call of it are left out."""
    cases = [c for name, limit in CASES[mode].items() for c in load_cases(data, name, "validation", limit, seed)]
    if mode == "rows":
        cases = as_tables(cases, seed) + table_cases(TABLES, seed)
    return rate_cases(engine, cases, mode)


def _rated(engine: Engine, data: Path, mode: Mode, seed: int) -> list[Rated]:
    rated = rated_cases(engine, data, mode, seed)
    if not rated:
        raise InvalidInputError(
            f"No question of {', '.join(CASES[mode])} makes a call of mode {mode!r}.",
            hint="Languages are told apart by the checkpoint's vocabulary: see gist_core.selective.signals.",
        )
    return rated


def _texts(data: Path, records: int = 400) -> Iterator[str]:
    """Documents of every set of both mixes, to count word pieces in."""
    for name in COUNTED:
        for record in islice(read_records(data, name), records):
            yield " ".join(d["text"] for d in record["documents"][:20])
            yield record["query"] or ""
