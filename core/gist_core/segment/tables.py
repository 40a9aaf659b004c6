"""Tables written with pipes or tabs: a header and its rows."""

from __future__ import annotations

from gist_core.passage import Span
from gist_core.segment.lines import Line
from gist_core.segment.values import Block, Kind

Found = tuple[list[Block], int]


def pipe_table(text: str, rows: list[Line], at: int) -> Found | None:
    """A header line, a line of dashes, rows with pipes; or rows alone, where the line begins with a pipe."""
    line = rows[at]
    if at + 1 < len(rows) and _is_separator(rows[at + 1]) and "|" in text[line.start : line.end]:
        header = Span(line.start, rows[at + 1].end)
        return _with_header(header, rows, at + 2, _row_stop(text, rows, at + 2))
    if line.tag in ("pipe", "separator", "separator1"):
        return [Block(Kind.TABLE_ROW, line.start, line.end, line.start)], at + 1
    return None


def _is_separator(line: Line) -> bool:
    return line.tag in ("separator", "separator1") and not line.blank_before


def _row_stop(text: str, rows: list[Line], at: int) -> int:
    while at < len(rows) and not rows[at].blank_before and "|" in text[rows[at].start : rows[at].end]:
        at += 1
    return at


def tab_table(text: str, rows: list[Line], at: int) -> Found | None:
    """Neighbouring lines with the same number of tabs: three, or two with three columns; the first is the header."""
    tabs = text.count("\t", rows[at].start, rows[at].end)
    if not tabs:
        return None
    stop = at + 1
    while (
        stop < len(rows) and not rows[stop].blank_before and text.count("\t", rows[stop].start, rows[stop].end) == tabs
    ):
        stop += 1
    if stop - at < (3 if tabs == 1 else 2):
        return None
    return _with_header(Span(rows[at].start, rows[at].end), rows, at + 1, stop)


def _with_header(header: Span, rows: list[Line], at: int, stop: int) -> Found:
    out = [Block(Kind.TABLE_HEADER, header.start, header.end, header.start)]
    out += [Block(Kind.TABLE_ROW, line.start, line.end, line.start, header) for line in rows[at:stop]]
    return out, stop
