"""A trained network -> the checkpoint that ships: vocabulary trimmed, fusion learned, matrices in int8."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer

from gist_core.cases import load_cases
from gist_core.checkpoint import read_manifest, write_manifest
from gist_core.records import read_records
from gist_core.selective.engine import Parts, load_parts, save_parts, start_engine
from gist_core.selective.fusion import Calibration, untrained
from gist_core.selective.model import SelectiveModel
from gist_core.training.fusion import (
    calibrate,
    choose_exponent,
    fit_fusion,
    held_out_logits,
    rate_cases,
)
from gist_core.training.mix import SELECTIVE_MIX
from gist_core.training.vocabulary import trim_vocabulary

FUSION_CASES = {
    "nq20_even": 140,
    "nolicence_squadshifts_new_wiki_10doc": 80,
    "covidqa": 14,
    "fairytaleqa": 36,
    "qmsum_train": 8,
    "nolicence_squadshifts_reddit": 100,
    "friendsqa": 60,
    "policyqa": 60,
    "xquad": 60,
    "jaquad": 60,
}
FREE_CASES = {
    "nolicence_squadshifts_new_wiki": 200,
    "fairytaleqa": 40,
    "covidqa": 8,
    "qmsum_train": 8,
    "friendsqa": 100,
}


def export_selective(
    model: SelectiveModel, tokenizer: Tokenizer, data: Path, out: Path, *, name: str, version: str, vocabulary: int
) -> None:
    """Write ``out/checkpoint`` in int8 and, to measure what that costs, ``out/full-precision``.

    The fusion is fitted to the int8 weights.
    """
    trimmed, smaller = trim_vocabulary(model, tokenizer, _texts(data), vocabulary)
    parts = Parts(trimmed, smaller, {m: untrained() for m in ("query", "free")}, {"query": 0.0, "free": 0.0})
    with tempfile.TemporaryDirectory() as temporary:
        draft = Path(temporary) / "draft"
        save_parts(draft, parts, name, version, int8=True)
        fitted = fit(draft, data)
    learned = replace(fitted, model=parts.model)
    save_parts(out / "checkpoint", learned, name, version, int8=True)
    save_parts(out / "full-precision", learned, name, f"{version}-fp32", int8=False)


def fit(folder: Path, data: Path) -> Parts:
    """The parts of a checkpoint with both fusions learned anew on the validation split."""
    parts = load_parts(folder)
    engine = start_engine(parts, "auto")
    fusions, exponents = {}, {}
    for mode, mix in (("query", FUSION_CASES), ("free", FREE_CASES)):
        cases = [c for name, limit in mix.items() for c in load_cases(data, name, "validation", limit)]
        rated = rate_cases(engine, cases, with_query=mode == "query")
        fusions[mode] = fit_fusion(rated)
        logits = held_out_logits(rated)
        exponents[mode] = choose_exponent(rated, logits)
        if mode == "query":
            calibration = calibrate(rated, logits)
    return replace(parts, fusions=fusions, length_exponent=exponents, calibration=calibration)


def recalibrate(folder: Path, data: Path, version: str) -> Calibration:
    """Calibrate a finished checkpoint on the validation split, in place and under a new version; weights stay.

    The fusion has seen these questions; what a threshold loses of others is for ``gist evaluate --thresholds`` to say.
    """
    parts = load_parts(folder)
    cases = [c for name, limit in FUSION_CASES.items() for c in load_cases(data, name, "validation", limit)]
    rated = rate_cases(start_engine(parts, "auto"), cases, with_query=True)
    found = calibrate(rated, [parts.fusions["query"](r.signals) for r in rated])
    manifest = read_manifest(folder)
    config = {**manifest.config, "calibration": asdict(found)}
    write_manifest(folder, replace(manifest, version=version, config=config))
    return found


def _texts(data: Path, records: int = 400) -> Iterator[str]:
    """Documents of every set of the mix, to count word pieces in."""
    for name in SELECTIVE_MIX:
        for record in islice(read_records(data, name), records):
            yield " ".join(d["text"] for d in record["documents"][:20])
            yield record["query"] or ""
