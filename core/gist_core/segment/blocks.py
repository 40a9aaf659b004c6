"""Lines to blocks: headings, list items, tables, code, paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gist_core.segment.code import fenced, indented
from gist_core.segment.lines import Line, lines
from gist_core.segment.paragraphs import paragraph
from gist_core.segment.tables import delimited_table, json_lines, table
from gist_core.segment.values import Block, Kind

_TITLE_LENGTH = 80
_ENDS_LIKE_TEXT = re.compile(r"[.!?;,:\u2026\u3002\uff01\uff1f\uff0c\u3001\uff1b\uff1a\u061f\u06d4\u0964]\W{0,3}\Z")
_NAMED_HEADING = re.compile(r"(?i:chapter|section|part|appendix|article|annex)\s+(?:\d+|[ivxlc]+|[a-z])\b")
_DEEP_NUMBER = re.compile(r"\d{1,3}\.\d")


def blocks(text: str) -> Iterator[Block]:
    """Blocks in order; together they cover every non-blank character."""
    all_lines = lines(text)
    at, after_item = 0, False
    while at < len(all_lines):
        found, at = _block(text, all_lines, at, after_item=after_item)
        after_item = found[-1].kind is Kind.LIST_ITEM
        yield from found


def _block(text: str, rows: list[Line], at: int, *, after_item: bool) -> tuple[list[Block], int]:
    """The blocks that begin at line ``at``, and the line behind them."""
    line = rows[at]
    if line.tag == "fence":
        return fenced(text, rows, at)
    if line.indent >= 4 and line.blank_before and not after_item and (found := indented(text, rows, at)):
        return found
    if found := table(text, rows, at):
        return found
    if stop := _heading_stop(text, rows, at, after_item=after_item):
        return [Block(Kind.HEADING, line.start, rows[stop - 1].end, line.start)], stop
    if line.tag == "item" or (line.tag == "number" and _starts_item(text, line)):
        return _item(rows, at)
    return _paragraph(text, rows, at)


def _starts_item(text: str, line: Line) -> bool:
    """``1.`` and ``(1)`` number an item; a bare ``12`` is only text that begins with a number."""
    return not text[line.start : line.tag_end].strip()[-1].isdigit()


def _heading_stop(text: str, rows: list[Line], at: int, *, after_item: bool) -> int:
    """The line behind the heading at ``at``; 0 if there is none."""
    line = rows[at]
    if line.tag == "mark":
        return at + 1
    follower = rows[at + 1] if at + 1 < len(rows) else None
    if follower is None or not line.blank_before:
        return 0
    if follower.tag == "under" and not follower.blank_before and line.tag in (None, "number", "turn"):
        return at + 2
    if line.end - line.start > _TITLE_LENGTH or _ENDS_LIKE_TEXT.search(text, line.start, line.end):
        return 0
    title = text[line.start : line.end]
    named = _NAMED_HEADING.match(title) or (
        _DEEP_NUMBER.match(title) and _starts_like_title(title.lstrip("0123456789. \t"))
    )
    return at + 1 if named or _is_title(title, line, follower, after_item=after_item) else 0


def _is_title(title: str, line: Line, follower: Line, *, after_item: bool) -> bool:
    """A short line alone, with a longer text behind it."""
    if not follower.blank_before or follower.tag == "fence" or (line.tag == "number" and after_item):
        return False
    if line.tag == "number":
        title = title.lstrip("0123456789.()\u3001\uff0e \t\u3000")
    elif line.tag is not None:
        return False
    behind = follower.end - follower.start
    starts_list = follower.tag in ("item", "number", "pipe")
    return _starts_like_title(title) and len(title.split()) <= 12 and (behind > max(40, len(title)) or starts_list)


def _starts_like_title(title: str) -> bool:
    return title[:1].isalnum() and not title[0].islower()


def _item(rows: list[Line], at: int) -> tuple[list[Block], int]:
    """A list item with the lines that continue it: wrapped ones, and indented ones after a blank line."""
    first, stop = rows[at], at + 1
    while stop < len(rows) and _continues_item(first, rows[stop]):
        stop += 1
    return [Block(Kind.LIST_ITEM, first.start, rows[stop - 1].end, first.tag_end)], stop


def _continues_item(first: Line, line: Line) -> bool:
    if line.tag is not None and line.tag != "under":
        return False
    return not line.blank_before and (line.indent > first.indent or line.indent == first.indent)


def _paragraph(text: str, rows: list[Line], at: int) -> tuple[list[Block], int]:
    stop = at + 1
    while stop < len(rows) and not _interrupts(text, rows, stop):
        stop += 1
    return paragraph(text, rows[at:stop]), stop


def _interrupts(text: str, rows: list[Line], at: int) -> bool:
    """Whether the line starts something new instead of going on with the paragraph above."""
    line, above = rows[at], rows[at - 1]
    if line.blank_before or line.tag in ("fence", "mark", "under", "turn", "item"):
        return True
    if line.tag == "number" and _starts_item(text, line):
        return text[above.end - 1] in ":\uff1a" or text[line.start : line.tag_end].strip("(). \t") == "1"
    if line.tag in ("pipe", "separator"):
        return True
    if "\t" in text[line.start : line.end] or _next_is_separator(rows, at):
        return True
    return json_lines(text, rows, at) is not None or delimited_table(text, rows, at) is not None


def _next_is_separator(rows: list[Line], at: int) -> bool:
    return at + 1 < len(rows) and rows[at + 1].tag in ("separator", "separator1") and not rows[at + 1].blank_before
