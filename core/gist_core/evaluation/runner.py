"""Run systems over cases at several rates; one JSON line a case, system and rate, appended, so a run can go on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from gist_core.allocation import Allocation
from gist_core.budget import Budget
from gist_core.cases import Case
from gist_core.evaluation.metrics import holds_answer, share_inside, usable_answers
from gist_core.passage import render
from gist_core.tokens import token_counter

RATES = (2, 4, 10, 20)
TOKENIZER = "cl100k_base"
SMALLEST_BUDGET = 8
System = Callable[[Case, Sequence[Budget]], Sequence[Allocation]]


def run(cases: Iterable[Case], systems: dict[str, System], out: Path) -> None:
    """Measure every system on every case; rows already in ``out`` are not measured again."""
    done = {(r["set"], r["id"], r["system"]) for r in read_rows(out)}
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("a", encoding="utf-8") as file:
        for case in cases:
            budgets = [Budget(tokens=n, tokenizer=TOKENIZER) for n in sizes(case)]
            for name, system in systems.items():
                if (case.set, case.id, name) not in done:
                    for rate, budget, plan in zip(RATES, budgets, system(case, budgets), strict=True):
                        file.write(json.dumps(row(case, name, rate, budget, plan)) + "\n")
                    file.flush()


def read_rows(path: Path) -> list[dict[str, object]]:
    """The rows of an earlier run; a half-written last line is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def sizes(case: Case) -> list[int]:
    """The budget at each rate: floor(tokens of the joined passages / rate), at least 8."""
    whole = token_counter(TOKENIZER).count("\n\n".join(p.text for p in case.passages if p.text))
    return [max(whole // rate, SMALLEST_BUDGET) for rate in RATES]


def row(case: Case, system: str, rate: int, budget: Budget, plan: Allocation) -> dict[str, object]:
    """All measurements of one output; ``answer`` and ``evidence`` are None where a case has none to find."""
    parts = [render(p.text, k) for p, k in zip(case.passages, plan.kept, strict=True)]
    text = "\n\n".join(p for p in parts if p)
    answers = findable_answers(case)
    used = token_counter(TOKENIZER).count(text)
    shares = [share_inside(e, k) for e, k in zip(case.evidence, plan.kept, strict=True)]
    inside, total = sum(s[0] for s in shares), sum(s[1] for s in shares)
    return {
        "set": case.set,
        "id": case.id,
        "system": system,
        "rate": rate,
        "budget": budget.tokens,
        "tokens": used,
        "over": used > (budget.tokens or 0),
        "answer": holds_answer(text, answers) if answers else None,
        "evidence": inside / total if total else None,
        "all_evidence": _all(case, plan) if total else None,
    }


def findable_answers(case: Case) -> list[str]:
    """The answers that can be looked for and stand in the full passages."""
    whole = "\n\n".join(p.text for p in case.passages)
    return [a for a in usable_answers(case.answers) if holds_answer(whole, [a])]


def _all(case: Case, plan: Allocation) -> bool:
    pairs = [(e, k) for spans, k in zip(case.evidence, plan.kept, strict=True) for e in spans]
    return all(share_inside([e], k)[0] >= 0.9 * (e.end - e.start) for e, k in pairs)
