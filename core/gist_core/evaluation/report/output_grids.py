"""The tables of what outputs hold whatever the question, and of their size."""

from __future__ import annotations

from gist_core.evaluation.entities import VALUE_KINDS
from gist_core.evaluation.report.grids import NOTHING, Cell, Grid, by_rate, each_of, number, percent
from gist_core.evaluation.report.outputs import Outputs
from gist_core.evaluation.report.summary import Summary

_PLURAL = {kind.value: f"{kind.value}s" for kind in VALUE_KINDS}


def entities(summary: Summary) -> Grid:
    """Share of the sources' numbers, dates, identifiers and names that stand in the outputs."""
    own = summary.outputs
    count = max((o.entities.n for o in own.values() if o.entities), default=0)
    cell = each_of(own, lambda o: percent(o.entities, count))
    title = f"Numbers, dates, identifiers and names kept, % ({count:,} records)"
    return by_rate(title, summary, summary.systems, cell)


def kinds(summary: Summary) -> tuple[Grid, ...]:
    """The same of each kind by itself, as far as the rows tell."""
    return tuple(_kind(name, summary) for name in _PLURAL if any(name in o.kinds for o in summary.outputs.values()))


def invented(summary: Summary) -> Grid:
    """Values invented, by kind, over all rates."""

    def cells(system: str) -> tuple[Cell, ...]:
        own = [o.kinds for (s, _), o in summary.outputs.items() if s == system and o.kinds]
        counts = [sum(found[name].invented for found in own if name in found) for name in _PLURAL]
        return tuple(Cell(f"{n:,}") if own else NOTHING for n in counts)

    rows = tuple((s, cells(s)) for s in summary.systems)
    return Grid("Values invented at all rates, by kind", ("system", *_PLURAL.values()), rows)


def size(summary: Summary) -> Grid:
    """Tokens in and out."""

    def cell(own: Outputs) -> Cell:
        if own.tokens_in is None or own.tokens_out is None:
            return NOTHING
        return Cell(number(own.tokens_out).text, f"of {number(own.tokens_in).text}")

    return by_rate("Tokens out, of tokens in, means", summary, summary.systems, each_of(summary.outputs, cell))


def fill(summary: Summary) -> Grid:
    """How much of the budget was used."""
    cell = each_of(summary.outputs, lambda o: percent(o.fill))
    return by_rate("Tokens used of the budget, %", summary, summary.systems, cell)


def faults(summary: Summary) -> Grid:
    """What no output should do, over all rates."""

    def cells(system: str) -> tuple[Cell, ...]:
        own = [o for (s, _), o in summary.outputs.items() if s == system]
        found = [sum(getattr(o, name) for o in own) for name in ("outputs", "over", "altered", "inventing", "invented")]
        return tuple(Cell(f"{n:,}") for n in [*found, sum(o.errors for o in own)])

    columns = ("system", "outputs", "over budget", "altered a word", "invented a value", "values invented", "errors")
    return Grid("Outputs at all rates", columns, tuple((s, cells(s)) for s in summary.systems))


def _kind(name: str, summary: Summary) -> Grid:
    own = {key: o.kinds[name].kept for key, o in summary.outputs.items() if name in o.kinds}
    count = max((found.n for found in own.values() if found), default=0)
    title = f"{_PLURAL[name].capitalize()} kept, % ({count:,} records)"
    return by_rate(title, summary, summary.systems, each_of(own, lambda found: percent(found, count)))
