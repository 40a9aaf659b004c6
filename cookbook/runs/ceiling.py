"""How much of what the best baseline leaves does Gist take, and how much could whole sentences? From a quality run.

    python cookbook/runs/ceiling.py DATA OUT

Reads OUT/rows.jsonl, writes OUT/ceiling.md: for every set whose answers are looked for, the share of answers kept by
Gist and by the best of the others, how much of the distance to 100 % that is, and the share of questions of which a
sentence (or heading, list item, table row) with the answer fits into the budget at all.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from gist_core.cases import Case, load_cases
from gist_core.evaluation.metrics import holds_answer
from gist_core.evaluation.rows import read_rows
from gist_core.evaluation.runner import findable_answers
from gist_core.segment import segments
from gist_core.tokens import token_counter

RATES = (4, 10)
OURS = "gist"


def least_tokens(case: Case) -> float:
    """The size of the smallest unit that holds an answer, in cl100k_base; infinite where none does."""
    answers, count = findable_answers(case), token_counter("cl100k_base").count
    units = (p.text[s.span.start : s.span.end] for p in case.passages for s in segments(p.text))
    return min((count(unit) for unit in units if holds_answer(unit, answers)), default=float("inf"))


def line(name: str, rate: int, rows: Iterable[Mapping[str, Any]], least: Mapping[str, float]) -> str:
    """A row of the table."""
    kept, fits = defaultdict(list), []
    for row in rows:
        kept[row["system"]].append(float(row["answer"]))
        if row["system"] == OURS:
            fits.append(least[row["id"]] <= row["budget"])
    ours = 100 * mean(kept.pop(OURS))
    best = max(100 * mean(values) for values in kept.values())
    closed = f"{100 * (ours - best) / (100 - best):.0f}" if best < 100 else ""
    return f"| {name} | {rate}x | {ours:.1f} | {best:.1f} | {closed} | {100 * mean(fits):.1f} |"


def main(data: Path, out: Path) -> None:
    """Write the table."""
    rows = defaultdict(list)
    for row in read_rows(out / "rows.jsonl"):
        if row["answer"] is not None and row["rate"] in RATES:
            rows[row["set"], row["rate"]].append(row)
    table = [
        "| set | rate | Gist, % | best baseline, % | distance to 100 closed, % | a sentence with the answer fits, % |",
        "|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(name for name, _ in rows):
        wanted = {row["id"] for row in rows[name, RATES[0]]}
        least = {c.id: least_tokens(c) for c in load_cases(data, name, "test") if c.id in wanted}
        table += [line(name, rate, rows[name, rate], least) for rate in RATES]
    (out / "ceiling.md").write_text("\n".join(table) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
