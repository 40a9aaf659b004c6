"""The tables of time and memory, and of the readers for which compression saves time."""

from __future__ import annotations

import math
from typing import Any

from gist_core.evaluation.breakeven import LENGTHS, RATES, Cost, costs, fastest_reader
from gist_core.evaluation.report.grids import Cell, Grid, number
from gist_core.evaluation.report.groups import Rows
from gist_core.evaluation.report.tables import OURS


def speed(rows: Rows) -> Grid:
    """The speed measurement as it was written."""

    def cells(row: Any) -> tuple[Cell, ...]:
        names = ("tokens_in", "calls", "p50_ms", "p99_ms", "tokens_per_second", "peak_mib")
        return (
            *(number(row.get(name)) for name in names),
            Cell(str(row.get("weights", "-")), note=str(row.get("left_out", ""))),
        )

    columns = ("system, text", "tokens in", "calls", "median, ms", "p99, ms", "tokens/s", "peak, MiB", "weights")
    return Grid("Time and memory of a call", columns, tuple((f"{r['system']}, {r['name']}", cells(r)) for r in rows))


def break_even(rows: Rows) -> Grid | None:
    """For each length and rate the reader's speed below which ours saves time; None where ours was not timed."""
    cost = costs(rows).get(OURS)
    if cost is None:
        return None
    columns = ("tokens in", *(f"{rate}x" for rate in RATES))
    title = f"{OURS} saves time while the reader reads fewer tokens a second than"
    return Grid(title, columns, tuple((f"{n:,}", _readers(n, cost)) for n in LENGTHS))


def _readers(tokens: int, cost: Cost) -> tuple[Cell, ...]:
    found = (fastest_reader(tokens, rate, cost) for rate in RATES)
    return tuple(Cell("any") if math.isinf(speed) else number(speed) for speed in found)
