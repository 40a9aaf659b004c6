"""Rows of the chat-memory measurement -> Markdown: each set, every rate, with intervals and paired differences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gist_core.evaluation.memory_runner import RATES
from gist_core.evaluation.report import cell, difference

Rows = Sequence[dict[str, Any]]
Values = dict[tuple[str, int], dict[str, float]]
OURS_FREE = "gist"
OURS_ASKED = "gist, view + recall"
KINDS = ("number", "date", "identifier", "name")
_KIND_RATE = 10
_NOTE = (
    "Values are what `gist_core.facts` finds, by which gists are made too, so they favour ours. Intervals take records "
    "as independent, also those of one conversation: with few conversations they are too narrow."
)


def markdown(rows: Rows) -> str:
    """Every set with its tables, then how much of the budgets was used.

    Percent, with 95 % bootstrap intervals over records (of conversations for values), differences paired.
    """
    sets = dict.fromkeys(r["set"] for r in rows)
    parts = [part for name in sets for part in _set(name, [r for r in rows if r["set"] == name])]
    over = sum(bool(r["over"]) for r in rows)
    parts += ["## All sets", _fill(rows), _NOTE, f"Outputs over budget: {over} of {len(rows)}."]
    return "\n\n".join(parts) + "\n"


def _set(name: str, rows: Rows) -> Iterable[str]:
    told = {r["system"] for r in rows if r.get("asked")}
    asked_ids = {r["id"] for r in rows if r.get("asked")}
    free = [r for r in rows if r["system"] not in told]
    both = [r for r in rows if r["id"] in asked_ids and (r["system"] in told or r["system"] == OURS_FREE)]
    yield f"## {name}, {len({r['chat'] for r in rows})} conversations"
    for metric in ("evidence", "answer"):
        yield _table(f"{metric} in the view, question unknown", _percent(free, _share(metric)), OURS_FREE)
        yield _table(f"{metric} with the question", _percent(both, _share(metric)), OURS_ASKED)
    yield _table("values in the view", _percent(free, _values_share(KINDS)), OURS_FREE)
    yield _kinds(free)


def _share(metric: str) -> Callable[[dict[str, Any]], float | None]:
    return lambda row: row.get(metric)


def _values_share(kinds: Sequence[str]) -> Callable[[dict[str, Any]], float | None]:
    def share(row: dict[str, Any]) -> float | None:
        counts = [row["values"][kind] for kind in kinds if kind in row.get("values", ())]
        return sum(kept for kept, _ in counts) / sum(count for _, count in counts) if counts else None

    return share


def _percent(rows: Rows, value: Callable[[dict[str, Any]], float | None]) -> Values:
    found: Values = defaultdict(dict)
    for row in rows:
        share = value(row)
        if share is not None:
            found[row["system"], row["rate"]][row["id"]] = 100 * float(share)
    return found


def _table(title: str, values: Values, ours: str) -> str:
    if not values:
        return f"No {title}."
    systems = list(dict.fromkeys(system for system, _ in values))
    others = [s for s in systems if s != ours and ours in systems]
    count = max(map(len, values.values()))
    cells = {s: [cell(values.get((s, r), {})) for r in RATES] for s in systems}
    cells |= {
        f"{ours} less {s}": [difference(values.get((ours, r), {}), values.get((s, r), {})) for r in RATES]
        for s in others
    }
    return _lines(f"{title} (%, {count})", [f"{r}x" for r in RATES], cells)


def _kinds(rows: Rows) -> str:
    systems = list(dict.fromkeys(r["system"] for r in rows))
    found = {kind: _percent(rows, _values_share([kind])) for kind in KINDS}
    cells = {s: [cell(found[kind].get((s, _KIND_RATE), {})) for kind in KINDS] for s in systems}
    return _lines(f"values in the view by kind, {_KIND_RATE}x (%)", KINDS, cells)


def _fill(rows: Rows) -> str:
    systems = list(dict.fromkeys(r["system"] for r in rows))
    used: Values = defaultdict(dict)
    for row in rows:
        used[row["system"], row["rate"]][f"{row['set']}/{row['id']}"] = 100 * row["tokens"] / row["budget"]
    cells = {s: [cell(used.get((s, r), {})) for r in RATES] for s in systems}
    return _lines("tokens used (% of the budget)", [f"{r}x" for r in RATES], cells)


def _lines(title: str, columns: Sequence[str], cells: dict[str, list[str]]) -> str:
    head = [f"### {title}", "", f"| system | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    return "\n".join([*head, *(f"| {name} | {' | '.join(own)} |" for name, own in cells.items())])
