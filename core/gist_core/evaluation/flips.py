"""Flips: questions whose answer compression turned from right to wrong, or from wrong to right. Pure.

A mean hides them: a compressor that loses ten answers and wins ten others has the mean of the full context.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

FULL = "full"  # the system that reads everything; its rate is 1

RecordKey = tuple[str, str]  # set and id of a record


@dataclass(slots=True)
class Flips:
    """What became of the questions answered both with the full and with a compressed context.

    ``lost``: right with full, wrong with compressed; ``gained``: the other way round.
    """

    pairs: int = 0
    lost: list[RecordKey] = field(default_factory=list)
    gained: list[RecordKey] = field(default_factory=list)


def flips(answers: Iterable[Mapping[str, Any]]) -> dict[tuple[str, int], Flips]:
    """Flips of every (system, rate) among the rows of ``answers.jsonl``; right means an exact match.

    Rows without a row of the full context beside them count nothing.
    """
    rows = list(answers)
    full = {(row["set"], row["id"]): bool(row["exact"]) for row in rows if row["system"] == FULL}
    found: dict[tuple[str, int], Flips] = {}
    for row in rows:
        record = (row["set"], row["id"])
        if row["system"] == FULL or record not in full:
            continue
        tally = found.setdefault((row["system"], row["rate"]), Flips())
        tally.pairs += 1
        if full[record] != bool(row["exact"]):
            (tally.lost if full[record] else tally.gained).append(record)
    return found
