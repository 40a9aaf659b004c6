"""The report's tables, as text in cells: Markdown and the page write the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from gist_core.evaluation.report.estimates import Estimate, Verdict
from gist_core.evaluation.report.groups import METRICS, Rows
from gist_core.evaluation.report.reading import Reading
from gist_core.evaluation.report.summary import Summary
from gist_core.evaluation.report.tables import OURS, Key, Loss, Table

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
    return _by_rate(title, summary, summary.systems, lambda key: percent(table.quality.get(key), table.records))


def differences(table: Table, summary: Summary) -> Grid:
    """Ours less each of the others."""
    others = [s for s in summary.systems if s != OURS]
    return _by_rate(f"{table.name}: {OURS} less the other, points", summary, others, lambda k: lead(table.leads.get(k)))


def counts(summary: Summary) -> Grid:
    """Of every group, against how many systems the lead is proven, open, or a proven loss."""

    def cell(table: Table, rate: int) -> Cell:
        found = [e.verdict for (_, r), e in table.leads.items() if r == rate]
        if not found:
            return NOTHING
        ahead, open_, behind = (found.count(v) for v in ("ahead", "open", "behind"))
        return Cell(f"{ahead} ▲", f"{open_} open", note=f"{behind} ▼")

    rows = [(t.name, tuple(cell(t, r) for r in summary.rates)) for t in summary.groups]
    return Grid(f"Against how many systems {OURS} leads", _columns("group", summary), tuple(rows))


def not_proven(summary: Summary) -> Grid:
    """Of every group, the systems against which ours has no proven lead, with the rates."""

    def named(table: Table, verdict: Verdict) -> str:
        rates: dict[str, list[str]] = {}
        for (system, rate), found in sorted(table.leads.items(), key=lambda item: item[0][1]):
            if found.verdict == verdict:
                rates.setdefault(system, []).append(f"{rate}x")
        return "; ".join(f"{system} {', '.join(own)}" for system, own in rates.items())

    verdicts: tuple[tuple[Verdict, str], ...] = (("open", "open"), ("behind", "behind, proven"))
    found = [(f"{t.name}: {word}", named(t, verdict)) for t in summary.groups for verdict, word in verdicts]
    rows = tuple((name, (Cell(systems),)) for name, systems in found if systems)
    return Grid(f"Where {OURS} has no proven lead", ("group", "against, at"), rows)


def loss_rows(found: Sequence[Loss], title: str) -> Grid:
    """One row a set, system and rate on which ours is behind."""
    rows = [(loss.name, (Cell(loss.system), Cell(f"{loss.rate}x"), lead(loss.lead))) for loss in found]
    return Grid(title, ("set", "against", "rate", "difference"), tuple(rows))


def languages(summary: Summary, beside: str) -> Grid:
    """Each language's set: ours, the other system, and the difference."""

    def rows(table: Table) -> Iterable[tuple[str, tuple[Cell, ...]]]:
        for system in (OURS, beside):
            cells = [percent(table.quality.get((system, r)), table.records) for r in summary.rates]
            yield f"{table.name}: {system}", tuple(cells)
        yield f"{table.name}: difference", tuple(lead(table.leads.get((beside, r))) for r in summary.rates)

    found = [row for t in summary.languages for row in rows(t)]
    return Grid(f"Each language, {OURS} beside {beside}, %", _columns("set", summary), tuple(found))


def entities(summary: Summary) -> Grid:
    """Share of the sources' numbers, dates, identifiers and names that stand in the outputs."""
    own = summary.outputs
    count = max((o.entities.n for o in own.values() if o.entities), default=0)
    cell = _of(own, lambda o: percent(o.entities, count))
    title = f"Numbers, dates, identifiers and names kept, % ({count:,} records)"
    return _by_rate(title, summary, summary.systems, cell)


def fill(summary: Summary) -> Grid:
    """How much of the budget was used."""
    cell = _of(summary.outputs, lambda o: percent(o.fill))
    return _by_rate("Tokens used of the budget, %", summary, summary.systems, cell)


def faults(summary: Summary) -> Grid:
    """What no output should do, over all rates."""

    def cells(system: str) -> tuple[Cell, ...]:
        own = [o for (s, _), o in summary.outputs.items() if s == system]
        found = [sum(getattr(o, name) for o in own) for name in ("outputs", "over", "altered", "inventing", "invented")]
        return tuple(Cell(f"{n:,}") for n in [*found, sum(o.errors for o in own)])

    columns = ("system", "outputs", "over budget", "altered a word", "invented a value", "values invented", "errors")
    return Grid("Outputs at all rates", columns, tuple((s, cells(s)) for s in summary.systems))


def reading(name: str, found: Mapping[Key, Reading], summary: Summary) -> tuple[Grid, ...]:
    """A reader's answers: F1 of the full texts' F1, F1, exact match, and flips."""
    most = max(found.values(), key=lambda r: r.f1.n if r.f1 else 0)
    count = most.f1.n if most.f1 else 0

    def grid(title: str, cell: Callable[[Reading], Cell]) -> Grid:
        shown = _of(found, cell)
        return _by_rate(f"{name}: {title}", summary, dict.fromkeys(system for system, _ in found), shown)

    return (
        grid(f"F1, % of that from the full texts ({count:,} records)", lambda r: percent(r.ratio, count)),
        grid(f"F1, % (full texts: {percent(most.full_f1).text})", lambda r: percent(r.f1, count)),
        grid(f"exact match, % (full texts: {percent(most.full_exact).text})", lambda r: percent(r.exact, count)),
        grid("answers lost / won by compression", lambda r: Cell(f"{r.lost:,} / {r.gained:,}")),
    )


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


def percent(found: Estimate | None, usual: int | None = None) -> Cell:
    """A mean with its interval; the number of records where it is not the ``usual`` one."""
    if found is None:
        return NOTHING
    count = f"n {found.n:,}" if usual is not None and found.n != usual else ""
    return Cell(f"{found.mean:.1f}", f"{found.low:.0f}-{found.high:.0f}", note=count)


def lead(found: Estimate | None) -> Cell:
    """A difference with its interval and sign."""
    if found is None:
        return NOTHING
    return Cell(f"{found.mean:+.1f}", f"{found.low:+.1f} to {found.high:+.1f}", SIGNS[found.verdict])


def number(value: float | None) -> Cell:
    """A plain figure, with one decimal below ten."""
    return NOTHING if value is None else Cell(f"{value:,.1f}" if value < 10 else f"{value:,.0f}")


def _of(own: Mapping[Key, T], cell: Callable[[T], Cell]) -> Callable[[Key], Cell]:
    return lambda key: cell(own[key]) if key in own else NOTHING


def _by_rate(title: str, summary: Summary, systems: Iterable[str], cell: Callable[[Key], Cell]) -> Grid:
    rows = tuple((s, tuple(cell((s, r)) for r in summary.rates)) for s in systems)
    kept = tuple(row for row in rows if any(found != NOTHING for found in row[1]))
    return Grid(title, _columns("system", summary), kept)


def _columns(first: str, summary: Summary) -> tuple[str, ...]:
    return (first, *(f"{rate}x" for rate in summary.rates))
