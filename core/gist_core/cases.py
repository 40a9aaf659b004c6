"""Records as questions over passages, one split at a time."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from gist_core.passage import Passage, Span, merge_spans
from gist_core.records import Record, Split, file_and_part, read_records, split_of

EVIDENCE_KINDS = {"sentence", "turn", "span"}
WHOLE_SETS = {"hotpotqa_train100"}  # too small to split, so never trained on


@dataclass(frozen=True, slots=True)
class Case:
    """A question over passages. ``evidence`` per passage, disjoint."""

    id: str
    set: str
    query: str
    passages: list[Passage]
    answers: list[str]
    evidence: list[list[Span]]


def load_cases(data: Path, name: str, split: Split, limit: int | None = None, seed: int = 13) -> list[Case]:
    """Cases of one split of a set; a random but fixed sample of ``limit`` of them.

    ``name`` may be ``"file/part"``: the records whose id begins with ``file_part-``.

    Raises:
        InvalidInputError: The set is not in the folder.
    """
    file, beginning = file_and_part(name)
    own = (r for r in read_records(data, file) if r["query"] and r["id"].startswith(beginning))
    records = [r for r in own if name in WHOLE_SETS or split_of(r) == split]
    random.Random(f"{name}-{seed}").shuffle(records)
    return [case_of(name, r) for r in records[:limit]]


def case_of(name: str, record: Record) -> Case:
    """The case of a record of the set ``name``; a record without a question has "" as its query."""
    passages = [Passage(d["id"], d["text"], {"title": d.get("title", "")}) for d in record["documents"]]
    spans: dict[str, list[Span]] = {p.id: [] for p in passages}
    for e in record["evidence"]:
        if e["kind"] in EVIDENCE_KINDS:
            spans[e["doc"]].append(Span(e["start"], e["end"]))
    return Case(
        record["id"],
        name,
        record["query"] or "",
        passages,
        record["answers"] or [],
        [merge_spans(spans[p.id]) for p in passages],
    )
