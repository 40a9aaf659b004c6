"""What a threshold keeps: the share of answers that survive it, and of tokens, set by set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gist_core.budget import Budget
from gist_core.cases import Case
from gist_core.compressor import TextCompressor
from gist_core.evaluation.metrics import holds_answer
from gist_core.evaluation.rows import appending, read_rows
from gist_core.evaluation.runner import TOKENIZER, findable_answers, joined, source, tokens
from gist_core.intervals import bootstrap_interval

THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


def run_thresholds(compressor: TextCompressor, cases: Iterable[Case], out: Path) -> None:
    """Compress every case that has an answer to find at every threshold; nothing is kept for its own sake.

    Args:
        compressor: One whose scores are calibrated.
        cases: The questions.
        out: File of JSON lines that the rows are appended to; those already there are not measured again.
    """
    done = {(row["set"], row["id"]) for row in read_rows(out)}
    with appending(out) as append:
        for case in cases:
            if (case.set, case.id) not in done and (answers := findable_answers(case)):
                append(
                    {"set": case.set, "id": case.id, "kept": [_kept(compressor, case, answers, t) for t in THRESHOLDS]}
                )


def _kept(compressor: TextCompressor, case: Case, answers: Sequence[str], threshold: float) -> tuple[bool, float]:
    budget = Budget(threshold=threshold, tokenizer=TOKENIZER)
    results = compressor.compress(case.passages, query=case.query or None, budget=budget, allow_empty=True)
    text = joined(r.text for r in results)
    return holds_answer(text, answers), tokens(text) / max(tokens(source(case)), 1)


def thresholds_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: for each set and threshold the share of answers kept, with its interval, and of tokens kept, in %."""
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["set"]].append(row)
    lines = ["| answers kept / tokens kept, % | " + " | ".join(f"{t:g}" for t in THRESHOLDS) + " |"]
    lines.append("|---" * (len(THRESHOLDS) + 1) + "|")
    for name, group in found.items():
        cells = [_cell([row["kept"][i] for row in group]) for i in range(len(THRESHOLDS))]
        lines.append(f"| {name} ({len(group)}) | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(kept: Sequence[tuple[bool, float]]) -> str:
    answers, sizes = [100 * float(a) for a, _ in kept], [100 * s for _, s in kept]
    low, high = bootstrap_interval(answers)
    return f"{sum(answers) / len(answers):.1f} ({low:.0f}-{high:.0f}) / {sum(sizes) / len(sizes):.0f}"
