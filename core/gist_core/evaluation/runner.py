"""Run systems over cases at several rates; one JSON line a case, system and rate, appended, so a run can go on."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from gist_core.budget import Budget
from gist_core.cases import Case
from gist_core.compressor import TextCompressor
from gist_core.evaluation.align import align
from gist_core.evaluation.entities import entities, entities_by_kind
from gist_core.evaluation.metrics import holds_answer, is_all_kept, is_altered, share_of_evidence, usable_answers
from gist_core.evaluation.rows import Measurements, Row, appending, key, read_rows
from gist_core.passage import Compressed, Span
from gist_core.tokens import token_counter

RATES = (2, 4, 10, 20)
TOKENIZER = "cl100k_base"
SMALLEST_BUDGET = 8

logger = logging.getLogger(__name__)


def run(cases: Iterable[Case], systems: Mapping[str, TextCompressor], out: Path) -> None:
    """Measure every system on every case at every rate.

    Args:
        cases: The questions.
        systems: What compresses, by name. One that fails on a case has a row with its ``error``, and the run goes on.
        out: File of JSON lines that the rows are appended to; those already there are not measured again.
    """
    done = {key(row) for row in read_rows(out)}
    with appending(out) as append:
        for case in cases:
            budgets = dict(zip(RATES, sizes(case), strict=True))
            for name, system in systems.items():
                for rate, budget in budgets.items():
                    if (case.set, case.id, name, rate) not in done:
                        append(measured(case, name, system, rate, budget))


def sizes(case: Case) -> list[int]:
    """The budget at each rate: floor(tokens of the joined passages / rate), at least 8."""
    whole = tokens(source(case))
    return [max(whole // rate, SMALLEST_BUDGET) for rate in RATES]


def source(case: Case) -> str:
    """The passages, as a prompt joins them."""
    return joined(p.text for p in case.passages)


def joined(texts: Iterable[str]) -> str:
    """The texts that are not empty, with a blank line between."""
    return "\n\n".join(text for text in texts if text)


@lru_cache(maxsize=4)
def tokens(text: str) -> int:
    """Size of a text in cl100k_base."""
    return token_counter(TOKENIZER).count(text)


def measured(case: Case, name: str, system: TextCompressor, rate: int, budget: int) -> Row:
    """The row of one call."""
    row: Row = {
        "set": case.set,
        "id": case.id,
        "system": name,
        "rate": rate,
        "budget": budget,
        "tokens_in": tokens(source(case)),
    }
    limit = Budget(tokens=budget, tokenizer=TOKENIZER)
    began = time.perf_counter()
    try:
        results = system.compress(case.passages, query=case.query or None, budget=limit)
        seconds = time.perf_counter() - began
        return {**row, **measurements(case, results, budget), "seconds": seconds}
    except Exception as error:  # a system may be anyone's: its failure is a finding
        logger.warning("%s failed on %s of %s at %dx: %r", name, case.id, case.set, rate, error)
        return {**row, "error": f"{type(error).__name__}: {error}"}


def measurements(case: Case, results: Sequence[Compressed], budget: int) -> Measurements:
    """All that is measured of one output, less its time.

    Raises:
        ValueError: There are not as many results as passages.
    """
    whole, text = source(case), joined(r.text for r in results)
    pairs = list(zip(case.passages, results, strict=True))
    held = [align(p.text, r.text) if r.kept is None else list(r.kept) for p, r in pairs]
    answers, used, found = findable_answers(case), tokens(text), entities(whole, text)
    return {
        "tokens": used,
        "over": used > budget,
        "answer": holds_answer(text, answers) if answers else None,
        **_evidence(case, held),
        "entities": found[0],
        "invented": found[1],
        "kinds": entities_by_kind(whole, text),
        "altered": is_altered(whole, text),
        "kept": _kept(results),
    }


def findable_answers(case: Case) -> list[str]:
    """The answers that can be looked for and stand in the full passages."""
    whole = source(case)
    return [a for a in usable_answers(case.answers) if holds_answer(whole, [a])]


def _evidence(case: Case, held: Sequence[list[Span] | None]) -> Measurements:
    kept = [spans for spans in held if spans is not None]
    if len(kept) < len(held):
        return {"evidence": None, "all_evidence": None}
    return {"evidence": share_of_evidence(case.evidence, kept), "all_evidence": is_all_kept(case.evidence, kept)}


def _kept(results: Sequence[Compressed]) -> list[list[int]] | None:
    if any(result.kept is None for result in results):
        return None
    return [[n, start, end] for n, result in enumerate(results) for start, end in result.kept or ()]
