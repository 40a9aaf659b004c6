"""Code blocks: fenced, or indented and looking like code."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gist_core.segment.lines import Line
from gist_core.segment.values import Block, Kind

_SAMPLE = 12  # lines
_GROUP = 800  # characters; a block up to this size stays one unit
_LOOKS_LIKE_CODE = re.compile(
    r"[{}=;<>\\$@]|\w\(|^\s*(?:\#|//|>>>)|^(?:def|class|return|import|else|elif|try|end|fi|done)\b|[:\[\]]$|\w\.\w+\(|\s--?\w"
)


def fenced(text: str, rows: list[Line], at: int) -> tuple[list[Block], int]:
    """The block between two fences, both with it; an open one reaches to the end."""
    fence = rows[at]
    mark = text[fence.start : fence.tag_end]
    stop = at + 1
    while stop < len(rows) and not _closes(text, rows[stop], mark):
        stop += 1
    stop = min(stop + 1, len(rows))
    return list(_groups(rows[at:stop])), stop


def _closes(text: str, line: Line, mark: str) -> bool:
    if line.tag != "fence" or line.tag_end != line.end:
        return False
    return line.end - line.start >= len(mark) and text[line.start] == mark[0]


def indented(text: str, rows: list[Line], at: int) -> tuple[list[Block], int] | None:
    """The indented lines from ``at`` on if half of the first look like code; prose may be indented too."""
    sample = [line for line in rows[at : at + _SAMPLE] if line.indent >= 4]
    marked = sum(_LOOKS_LIKE_CODE.search(text[line.start : line.end]) is not None for line in sample)
    if 2 * marked < len(sample):
        return None
    stop = at + 1
    while stop < len(rows) and rows[stop].indent >= 4:
        stop += 1
    return list(_groups(rows[at:stop])), stop


def _groups(rows: list[Line]) -> Iterator[Block]:
    """One unit; or, of a long block, what lies between blank lines, packed up to _GROUP characters, else lines."""
    if rows[-1].end - rows[0].start <= _GROUP:
        yield Block(Kind.CODE, rows[0].start, rows[-1].end, rows[0].start)
        return
    first, last = rows[0], rows[0]
    for line in rows[1:]:
        size = last.end - first.start
        if line.end - first.start > _GROUP or (line.blank_before and size > _GROUP // 4):
            yield Block(Kind.CODE, first.start, last.end, first.start)
            first = line
        last = line
    yield Block(Kind.CODE, first.start, last.end, first.start)
