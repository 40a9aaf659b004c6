"""A paragraph's lines: which newlines are soft wraps and which end a unit (verse, addresses, one paragraph a line)."""

from __future__ import annotations

import re
from itertools import pairwise

from gist_core.segment.lines import Line
from gist_core.segment.markup import starts_with_tag
from gist_core.segment.values import Block, Kind

_LONG_LINE = 120  # characters; no text is wrapped wider, so the newline behind such a line was meant
_VERSE_WIDTH = 70
_VERSE_SHARE = 0.85
_FIRST_WORD = re.compile(r"\S{1,30}")


def paragraph(text: str, rows: list[Line]) -> list[Block]:
    """Blocks of consecutive lines, broken where the newline was meant."""
    if len(rows) == 1:
        return [_block(rows[0], rows[0])]
    verse = _is_verse(text, rows)
    width = max(line.end - line.start for line in rows)
    out, first = [], rows[0]
    for above, line in pairwise(rows):
        in_markup = starts_with_tag(text, above.start) or starts_with_tag(text, line.start)
        if not in_markup and (verse or _meant(text, above, line, width)):
            out.append(_block(first, above))
            first = line
    return [*out, _block(first, rows[-1])]


def _block(first: Line, last: Line) -> Block:
    return Block(
        Kind.SENTENCE, first.start, last.end, first.tag_end if first.tag in ("number", "turn") else first.start
    )


def _is_verse(text: str, rows: list[Line]) -> bool:
    """Three lines or more, all short, nearly all with a capital first."""
    if len(rows) < 3 or any(line.end - line.start > _VERSE_WIDTH for line in rows):
        return False
    return sum(text[line.start].isupper() for line in rows) >= _VERSE_SHARE * len(rows)


def _meant(text: str, above: Line, line: Line, width: int) -> bool:
    """Whether the newline between two lines ends a unit: the next word would have fitted, and starts like a new one."""
    length = above.end - above.start
    if length > _LONG_LINE:
        return True
    if text[line.start].islower():
        return False
    word = _FIRST_WORD.match(text, line.start, line.end)
    return length + (word.end() - word.start() if word else 0) + 12 < min(width, _LONG_LINE)
