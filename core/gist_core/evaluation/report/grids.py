"""The report's tables, as text in cells: Markdown and the page write the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from gist_core.evaluation.report.estimates import Estimate, Verdict
from gist_core.evaluation.report.groups import METRICS
from gist_core.evaluation.report.reading import Reading
from gist_core.evaluation.report.summary import Summary
from gist_core.evaluation.report.tables import OURS, Key, Loss, Table

OVER = "over"  # marks what exceeded its budget
SIGNS: dict[Verdict, str] = {"ahead": "▲", "open": "", "behind": "▼"}


class Cell(NamedTuple):
    """A figure, its interval small beside it, the sign of a proven difference, and a word on it."""

    text: str
    small: str = ""
    sign: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: the first column names the rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


T = TypeVar("T")

NOTHING = Cell("-")


def quality(table: Table, summary: Summary) -> Grid:
    """Every system's mean at every rate."""
    title = f"{table.name}: {METRICS[table.metric]}, % ({table.records:,} records)"
    return by_rate(title, summary, summary.systems, lambda key: _quality(table, key))


def differences(table: Table, summary: Summary) -> Grid:
    """Ours less each of the others."""
    others = [s for s in summary.systems if s != OURS]
    return by_rate(f"{table.name}: {OURS} less the other, points", summary, others, lambda key: _lead(table, key))


def counts(summary: Summary) -> Grid:
    """Of every group, against how many systems the lead is proven, open, or a proven loss."""

    def cell(table: Table, rate: int) -> Cell:
        own = {key: e.verdict for key, e in table.leads.items() if key[1] == rate}
        if not own:
            return NOTHING
        found = [verdict for key, verdict in own.items() if table.at_equal_size(key)]
        ahead, open_, behind = (found.count(v) for v in ("ahead", "open", "behind"))
        larger = f", {len(own) - len(found)} {OVER}" if len(found) < len(own) else ""
        return Cell(f"{ahead} ▲", f"{open_} open", note=f"{behind} ▼{larger}")

    rows = [(t.name, tuple(cell(t, r) for r in summary.rates)) for t in summary.groups]
    return Grid(f"Against how many systems {OURS} leads", columns("group", summary), tuple(rows))


def not_proven(summary: Summary) -> Grid:
    """Of every group, the systems against which ours has no proven lead, with the rates."""

    def named(table: Table, verdict: Verdict) -> str:
        rates: dict[str, list[str]] = {}
        for (system, rate), found in sorted(table.leads.items(), key=lambda item: item[0][1]):
            if found.verdict == verdict and table.at_equal_size((system, rate)):
                rates.setdefault(system, []).append(f"{rate}x")
        return "; ".join(f"{system} {', '.join(own)}" for system, own in rates.items())

    verdicts: tuple[tuple[Verdict, str], ...] = (("open", "open"), ("behind", "behind, proven"))
    found = [(f"{t.name}: {word}", named(t, verdict)) for t in summary.groups for verdict, word in verdicts]
    rows = tuple((name, (Cell(systems),)) for name, systems in found if systems)
    return Grid(f"Where {OURS} has no proven lead", ("group", "against, at"), rows)


def loss_rows(found: Sequence[Loss], title: str) -> Grid:
    """One row a set, system and rate on which ours is behind."""
    rows = [(loss.name, (Cell(loss.system), Cell(f"{loss.rate}x"), lead(loss.lead, loss.larger))) for loss in found]
    return Grid(title, ("set", "against", "rate", "difference"), tuple(rows))


def languages(summary: Summary, beside: str) -> Grid:
    """Each language's set: ours, the other system, and the difference."""

    def rows(table: Table) -> Iterable[tuple[str, tuple[Cell, ...]]]:
        for system in (OURS, beside):
            yield f"{table.name}: {system}", tuple(_quality(table, (system, r)) for r in summary.rates)
        yield f"{table.name}: difference", tuple(_lead(table, (beside, r)) for r in summary.rates)

    found = [row for t in summary.languages for row in rows(t)]
    return Grid(f"Each language, {OURS} beside {beside}, %", columns("set", summary), tuple(found))


def reading(name: str, found: Mapping[Key, Reading], summary: Summary) -> tuple[Grid, ...]:
    """A reader's answers: F1 of the full texts' F1, F1, exact match, and flips."""
    most = max(found.values(), key=lambda r: r.f1.n if r.f1 else 0)
    count = most.f1.n if most.f1 else 0

    def grid(title: str, cell: Callable[[Reading], Cell]) -> Grid:
        systems = dict.fromkeys(system for system, _ in found)
        return by_rate(f"{name}: {title}", summary, systems, each_of(found, cell))

    shown = (
        grid(f"F1, % of that from the full texts ({count:,} records)", lambda r: percent(r.ratio, count)),
        grid(f"F1, % (full texts: {percent(most.full_f1).text})", lambda r: percent(r.f1, count)),
        grid(f"exact match, % (full texts: {percent(most.full_exact).text})", lambda r: percent(r.exact, count)),
        grid("answers lost / won by compression", lambda r: Cell(f"{r.lost:,} / {r.gained:,}")),
    )
    return tuple(table for table in shown if table.rows)


def percent(found: Estimate | None, usual: int | None = None) -> Cell:
    """A mean with its interval; the number of records where it is not the ``usual`` one."""
    if found is None:
        return NOTHING
    count = f"n {found.n:,}" if usual is not None and found.n != usual else ""
    return Cell(f"{found.mean:.1f}", f"{found.low:.0f}-{found.high:.0f}", note=count)


def lead(found: Estimate | None, larger: int = 0) -> Cell:
    """A difference with its interval, and its sign unless outputs were larger than their budget."""
    if found is None:
        return NOTHING
    sign, note = ("", f"{larger:,} {OVER}") if larger else (SIGNS[found.verdict], "")
    return Cell(f"{found.mean:+.1f}", f"{found.low:+.1f} to {found.high:+.1f}", sign, note)


def number(value: float | None) -> Cell:
    """A plain figure, with one decimal below ten."""
    return NOTHING if value is None else Cell(f"{value:,.1f}" if value < 10 else f"{value:,.0f}")


def _quality(table: Table, key: Key) -> Cell:
    found, larger = percent(table.quality.get(key), table.records), table.over.get(key, 0)
    if found == NOTHING or not larger:
        return found
    return found._replace(note=", ".join(filter(None, (found.note, f"{larger:,} {OVER}"))))


def _lead(table: Table, key: Key) -> Cell:
    return lead(table.leads.get(key), table.larger(key))


def each_of(own: Mapping[Key, T], cell: Callable[[T], Cell]) -> Callable[[Key], Cell]:
    """The cell of a system at a rate, where it has any."""
    return lambda key: cell(own[key]) if key in own else NOTHING


def by_rate(title: str, summary: Summary, systems: Iterable[str], cell: Callable[[Key], Cell]) -> Grid:
    """A row a system, a column a rate; systems with nothing to show are left out."""
    rows = tuple((s, tuple(cell((s, r)) for r in summary.rates)) for s in systems)
    kept = tuple(row for row in rows if any(found != NOTHING for found in row[1]))
    return Grid(title, columns("system", summary), kept)


def columns(first: str, summary: Summary) -> tuple[str, ...]:
    """The first, then one a rate."""
    return (first, *(f"{rate}x" for rate in summary.rates))
