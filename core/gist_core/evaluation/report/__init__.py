"""The report of a measurement, from the rows on disk: for readers (Markdown, one HTML page) and for machines (JSON)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from gist_core.errors import InvalidInputError
from gist_core.evaluation.report.estimates import cell, difference
from gist_core.evaluation.report.examples import Cases, choose
from gist_core.evaluation.report.machine import to_json
from gist_core.evaluation.report.markdown import to_markdown
from gist_core.evaluation.report.page import to_page
from gist_core.evaluation.report.summary import summarise
from gist_core.evaluation.rows import read_rows
from gist_core.files import write_whole

_NAMES = ("rows", "answers", "speed", "likelihood")
_NOTHING: Mapping[str, str] = MappingProxyType({})


def write_report(out: Path, cases: Cases | None = None, about: Mapping[str, str] = _NOTHING) -> str:
    """Write ``report.md``, ``report.json`` and ``report.html`` from the rows in ``out``.

    Args:
        out: Folder with ``rows.jsonl`` and, where they were measured, ``answers.jsonl``, ``speed.jsonl`` and
            ``likelihood.jsonl``.
        cases: The cases of a set by its name, or None for it, for the page's examples; without it there are none.
        about: What was measured, as the reader is told: model, data, commit.

    Returns:
        The Markdown.

    Raises:
        InvalidInputError: ``out`` has no rows.
    """
    rows, answers, speed, likelihood = (read_rows(out / f"{name}.jsonl") for name in _NAMES)
    if not (rows or answers or speed or likelihood):
        raise InvalidInputError(f"No rows in {str(out)!r}.", hint="Run the measurement first: gist evaluate.")
    summary = summarise(rows, answers, speed, likelihood)
    best, worst = choose(rows, cases) if cases is not None else ([], [])
    text = to_markdown(summary, about)
    write_whole(out / "report.json", to_json(summary, about).encode())
    write_whole(out / "report.html", to_page(summary, about, best, worst).encode())
    write_whole(out / "report.md", text.encode())
    return text


__all__ = ["cell", "difference", "write_report"]
