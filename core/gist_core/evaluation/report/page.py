"""The report as one self-contained page: tables, charts, and examples to click through. No script, nothing loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gist_core.errors import MissingExtraError
from gist_core.evaluation.report import charts
from gist_core.evaluation.report.examples import Example
from gist_core.evaluation.report.grids import Cell, Grid
from gist_core.evaluation.report.groups import METRICS
from gist_core.evaluation.report.passages import STYLE as PASSAGE_STYLE
from gist_core.evaluation.report.passages import passages_html
from gist_core.evaluation.report.sections import CURVES, Section, sections
from gist_core.evaluation.report.style import STYLE
from gist_core.evaluation.report.summary import Summary
from gist_core.evaluation.report.tables import OURS
from gist_core.highlight import escape, page

TITLE = "Measurement"
_EXAMPLES = "examples"
_NARROW = 5  # columns that fit beside another table
_LONG = 24  # characters of a cell that may be broken into lines


def to_page(
    summary: Summary, about: Mapping[str, str], best: Sequence[Example] = (), worst: Sequence[Example] = ()
) -> str:
    """The whole report as HTML.

    Args:
        summary: The numbers.
        about: What was measured: model, data, commit.
        best: Records where ours keeps more than the others.
        worst: Records where it keeps less.
    """
    parts = [(s.key, s.title, _section(s, summary)) for s in sections(summary)]
    if best or worst:
        parts.append((_EXAMPLES, "Examples", _examples(best, worst)))
    links = "".join(f'<a href="#{key}">{escape(title)}</a>' for key, title, _ in parts)
    body = [_about(about), f'<nav aria-label="Contents">{links}</nav>']
    body += [f'<section id="{key}"><h2>{escape(title)}</h2>\n{inner}\n</section>' for key, title, inner in parts]
    return page(TITLE, "\n".join(body), PASSAGE_STYLE + STYLE)


def _about(about: Mapping[str, str]) -> str:
    pairs = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in about.items())
    return f'<dl class="gist-about">{pairs}</dl>' if pairs else ""


def _section(section: Section, summary: Summary) -> str:
    words = [f'<p class="gist-words">{escape(text)}</p>' for text in (*section.words, *section.charted)]
    folds = [
        f"<details><summary>{escape(fold.title)}</summary>{_tables(fold.grids)}</details>" for fold in section.folds
    ]
    return "\n".join([*words, *_charts(section.key, summary), _tables(section.grids), *folds])


def _tables(grids: Sequence[Grid]) -> str:
    return f'<div class="gist-tables">{"".join(map(_table, grids))}</div>' if grids else ""


def _charts(key: str, summary: Summary) -> Iterable[str]:
    drawn: dict[str, Callable[[], Sequence[tuple[str, str]]]] = {
        CURVES: lambda: [(t.name, charts.rate_distortion(t, summary.systems)) for t in summary.groups if t.share],
        "speed": lambda: [("latency", charts.latency(summary.latency, summary.systems))] if summary.latency else [],
    }
    if key not in drawn:
        return
    try:
        figures = drawn[key]()
    except MissingExtraError as error:
        yield f'<p class="gist-words">The charts are left out. {escape(str(error))}</p>'
        return
    inner = "".join(f"<figure><figcaption>{escape(name)}</figcaption>{svg}</figure>" for name, svg in figures)
    yield f'<div class="gist-charts">{inner}</div>'


def _table(grid: Grid) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in grid.columns)
    rows = "".join(
        f'<tr{_ours(name)}><th scope="row">{escape(name)}</th>{"".join(map(_cell, cells))}</tr>'
        for name, cells in grid.rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    whole = " gist-whole" if len(grid.columns) > _NARROW else ""
    return f'<div class="gist-wide{whole}"><h3>{escape(grid.title)}</h3>{table}</div>'


def _ours(name: str) -> str:
    return ' class="gist-ours"' if name == OURS or name.startswith(f"{OURS}, ") else ""


def _cell(cell: Cell) -> str:
    sign = f" <b>{escape(cell.sign)}</b>" if cell.sign else ""
    small = "".join(f"<small>{escape(text)}</small>" for text in (cell.small, cell.note) if text)
    wide = ' class="gist-list"' if len(cell.text) > _LONG else ""
    return f"<td{wide}>{escape(cell.text)}{sign}{small}</td>"


def _examples(best: Sequence[Example], worst: Sequence[Example]) -> str:
    key = (
        '<p class="gist-words gist-text gist-key"><mark>kept</mark>, <span class="gist-dropped">dropped</span>, '
        '<span class="gist-evidence">gold evidence</span>, <span class="gist-answer">gold answer</span>. '
        "Long dropped stretches are shown at their ends only. Chosen by the figures: "
        f"{OURS} less the mean of the others, at most one of a set before the next set has its turn.</p>"
    )
    parts = [key]
    for title, found in (("Kept more than the others", best), ("Kept less than the others, or nothing", worst)):
        inner = "\n".join(map(_example, found)) or '<p class="gist-words">No such record.</p>'
        parts.append(f"<h3>{title}</h3>\n{inner}")
    return "\n".join(parts)


def _example(example: Example) -> str:
    case = example.case
    answers = f'<p class="gist-words">Gold answer: {escape(" / ".join(case.answers))}</p>' if case.answers else ""
    place = f"<small>{escape(case.set)}, {example.rate}x, {escape(METRICS[example.metric])}</small>"
    systems = "\n".join(_system(example, name) for name in example.rows)
    title = f'<summary><span dir="auto">{escape(case.query)}</span>{place}</summary>'
    return f'<details class="gist-example">{title}{answers}{systems}</details>'


def _system(example: Example, system: str) -> str:
    row = example.rows[system]
    name = f"{escape(system)}: <b>{_figure(row, example.metric)}</b>, {row['tokens']:,} of {row['budget']:,} tokens"
    kept = row.get("kept")
    if kept is None:
        inner = '<p class="gist-note">This system gives text without its places in the source.</p>'
    else:
        inner = passages_html(example.case, kept, dropped_too=system == OURS)
    opened = " open" if system == OURS else ""
    return f"<details{opened}><summary>{name}</summary>{inner}</details>"


def _figure(row: Mapping[str, Any], metric: str) -> str:
    if metric == "answer":
        return "answer kept" if row["answer"] else "answer lost"
    if metric == "all_evidence" and row["all_evidence"]:
        return "all evidence kept"
    return f"{100 * row['evidence']:.0f} % of the evidence kept"
