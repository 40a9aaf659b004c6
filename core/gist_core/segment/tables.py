"""Tables: a header and its rows, with pipes, tabs, commas or semicolons; or JSON lines, which need no header."""

from __future__ import annotations

import re

from gist_core.passage import Span
from gist_core.segment.lines import Line
from gist_core.segment.values import Block, Kind

Found = tuple[list[Block], int]
_DELIMITERS = ",;|"
_LEAST_ROWS = 3  # header included, of values between delimiters
_MARKS = ".!?:,;|"
_QUOTED = re.compile(r'"(?>(?:[^"]|"")*)"')
_RECORD = re.compile(r'\{\s*+"(?>(?:[^"\\]|\\.)*)"\s*+:')


def table(text: str, rows: list[Line], at: int) -> Found | None:
    """The table of any form that begins at line ``at``, and the line behind it."""
    found = pipe_table(text, rows, at) or tab_table(text, rows, at)
    return found or json_lines(text, rows, at) or delimited_table(text, rows, at)


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


def json_lines(text: str, rows: list[Line], at: int) -> Found | None:
    """Two neighbouring lines or more that are a JSON object each, as in JSON Lines or in a list with one a line."""
    stop = at
    while stop < len(rows) and (stop == at or not rows[stop].blank_before) and _is_record(text, rows[stop]):
        stop += 1
    if stop - at < 2:
        return None
    return [Block(Kind.TABLE_ROW, line.start, line.end, line.start) for line in rows[at:stop]], stop


def _is_record(text: str, line: Line) -> bool:
    return _RECORD.match(text, line.start, line.end) is not None and text[line.start : line.end].endswith(("}", "},"))


def delimited_table(text: str, rows: list[Line], at: int) -> Found | None:
    """Three neighbouring lines or more with the same number of commas, semicolons or pipes and no blank behind any.

    In prose there are blanks. Two columns could be anything with a comma: there no line may end as a sentence or a
    clause does, and the first has no digit, or no blank.
    """
    if rows[at].tag is not None:
        return None
    for delimiter in _DELIMITERS:
        count = _delimiters(text, rows[at], delimiter)
        if not count or (count == 1 and not _may_head_pairs(text[rows[at].start : rows[at].end])):
            continue
        stop = at
        while (
            stop < len(rows)
            and (stop == at or not rows[stop].blank_before)
            and _delimiters(text, rows[stop], delimiter) == count
            and (count > 1 or text[rows[stop].end - 1] not in _MARKS)
        ):
            stop += 1
        if stop - at >= _LEAST_ROWS:
            return _with_header(Span(rows[at].start, rows[at].end), rows, at + 1, stop)
    return None


def _delimiters(text: str, line: Line, delimiter: str) -> int:
    """How many delimiters the line has outside quotation marks; 0 where a blank follows one."""
    if text.find(delimiter, line.start, line.end) < 0:
        return 0
    bare = _QUOTED.sub("", text[line.start : line.end])
    return 0 if f"{delimiter} " in bare else bare.count(delimiter)


def _may_head_pairs(line: str) -> bool:
    return " " not in line or not any(map(str.isdigit, line))


def _with_header(header: Span, rows: list[Line], at: int, stop: int) -> Found:
    out = [Block(Kind.TABLE_HEADER, header.start, header.end, header.start)]
    out += [Block(Kind.TABLE_ROW, line.start, line.end, line.start, header) for line in rows[at:stop]]
    return out, stop
