"""The report as Markdown: for reading in a repository, without charts and examples."""

from __future__ import annotations

from collections.abc import Mapping

from gist_core.evaluation.report.grids import Cell, Grid
from gist_core.evaluation.report.sections import Section, sections
from gist_core.evaluation.report.summary import Summary


def to_markdown(summary: Summary, about: Mapping[str, str]) -> str:
    """The whole report; ``about`` is what was measured: model, data, commit."""
    head = ["# Measurement", *(["\n".join(f"- {_plain(k)}: {_plain(v)}" for k, v in about.items())] if about else [])]
    body = [text for section in sections(summary) if (text := _section(section))]
    return "\n\n".join([*head, *body]) + "\n"


def _section(section: Section) -> str:
    folded = [grid for fold in section.folds for grid in fold.grids]
    inner = [*section.words, *map(_grid, (*section.grids, *folded))]
    return "\n\n".join([f"## {section.title}", *inner]) if inner else ""  # there was nothing but charts


def _grid(grid: Grid) -> str:
    head = [f"### {_plain(grid.title)}", "", _line(grid.columns), "|---" * len(grid.columns) + "|"]
    return "\n".join([*head, *(_line([name, *map(_cell, cells)]) for name, cells in grid.rows)])


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(map(_plain, cells))} |"


def _cell(cell: Cell) -> str:
    return " ".join(filter(None, (cell.text, cell.small and f"({cell.small})", cell.sign, cell.note)))


def _plain(text: str) -> str:
    """Text that stays in its cell."""
    return " ".join(text.split()).replace("|", "\\|")
