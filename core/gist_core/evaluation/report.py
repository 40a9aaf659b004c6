"""Rows -> a Markdown table: each set, pooled groups, every rate, with intervals and paired differences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from gist_core.evaluation.metrics import bootstrap_interval
from gist_core.evaluation.runner import RATES

Rows = Sequence[dict[str, Any]]
GROUPS = {
    "multi-document": ("nq20_even", "nolicence_squadshifts_new_wiki_10doc"),
    "long documents": ("covidqa", "fairytaleqa"),
    "meetings": ("qmsum_train",),
}
METRIC = {"meetings": "evidence", "qmsum_train": "evidence", "hotpotqa_train100": "all_evidence"}


def markdown(rows: Rows, ours: str = "gist") -> str:
    """The report: a table for every group and set; percent of records, mean with a 95 % bootstrap interval."""
    sets = list(dict.fromkeys(r["set"] for r in rows))
    groups = {**GROUPS, **{s: (s,) for s in sets}}
    tables = [_table(rows, name, members, ours) for name, members in groups.items() if set(members) & set(sets)]
    over = sum(bool(r["over"]) for r in rows)
    return "\n\n".join([*tables, f"Outputs over budget: {over} of {len(rows)}."]) + "\n"


def _table(rows: Rows, name: str, members: tuple[str, ...], ours: str) -> str:
    metric = METRIC.get(name, "answer")
    values: dict[tuple[str, int], dict[str, float]] = defaultdict(dict)
    for r in rows:
        if r["set"] in members and r[metric] is not None:
            values[r["system"], r["rate"]][f"{r['set']}/{r['id']}"] = 100 * float(r[metric])
    systems = list(dict.fromkeys(system for system, _ in values))
    count = max((len(v) for v in values.values()), default=0)
    lines = [f"### {name} ({metric.replace('_', ' ')} kept, %, {count} records)", ""]
    lines += ["| system | " + " | ".join(f"{r}x" for r in RATES) + " |", "|---" * (len(RATES) + 1) + "|"]
    lines += [f"| {s} | " + " | ".join(cell(values[s, r]) for r in RATES) + " |" for s in systems]
    lines += [
        f"| {ours} less {s} | " + " | ".join(difference(values[ours, r], values[s, r]) for r in RATES) + " |"
        for s in systems
        if s != ours and ours in systems
    ]
    return "\n".join(lines)


def cell(found: dict[str, float]) -> str:
    """The mean of values by record with its interval; "-" without values."""
    if not found:
        return "-"
    low, high = bootstrap_interval(list(found.values()))
    return f"{sum(found.values()) / len(found):.1f} ({low:.0f}-{high:.0f})"


def difference(ours: dict[str, float], other: dict[str, float]) -> str:
    """The mean paired difference with its interval, over the records that both have."""
    both = [ours[k] - other[k] for k in ours.keys() & other.keys()]
    if not both:
        return "-"
    low, high = bootstrap_interval(both)
    return f"{sum(both) / len(both):+.1f} ({low:+.1f} to {high:+.1f})"
