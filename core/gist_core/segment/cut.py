"""Cuts what is too long to be one unit: at clause marks, else at spaces, else anywhere but inside a character."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gist_core.passage import Span
from gist_core.segment.values import CJK, EOL, GLUE, UNSPACED

MAX_CHARACTERS = 1200
"""No segment is longer, in characters."""

SHORT = 60  # characters; nothing so short is cut
_LOW, _HIGH = 300, 600  # a piece's characters; the search goes back at most _HIGH - _LOW, so the work stays linear
_MARK = re.compile(
    rf"(?s).{{{_LOW},{_HIGH}}}(?:(?<=[;:,\u2014\u2013\u060c\u061b.!?])(?=\s)|(?<=[\u3001\uff0c\uff1b\uff1a]))"
)
_SPACE = re.compile(rf"(?s).{{{_LOW},{_HIGH}}}(?=\s)")
_WHOLE = re.compile(rf"(?s).{{{_LOW},{_HIGH}}}(?<!\u200d)(?![{GLUE}])")
_LINE = re.compile(rf"(?s).{{1,{_HIGH}}}(?=[{EOL}]|\Z)")
_NO_MARKS = re.compile(rf"[{UNSPACED}]")
_UNSPACED_PIECE = re.compile(rf"(?s).{{{SHORT},200}}?(?<=[{UNSPACED}{CJK}])(?=\s)")


def cut(text: str, start: int, end: int, *, lines: bool = False) -> Iterator[Span]:
    """Spans of at most MAX_CHARACTERS over the non-blank text of ``text[start:end]``; ``lines`` prefers line ends."""
    while end - start > MAX_CHARACTERS:
        stop = _stop(text, start, end, lines=lines)
        yield from trimmed(text, start, stop)
        start = stop
    yield from trimmed(text, start, end)


def _stop(text: str, start: int, end: int, *, lines: bool) -> int:
    patterns = (_LINE, _MARK, _SPACE, _WHOLE) if lines else (_MARK, _SPACE, _WHOLE)
    for pattern in patterns:
        if found := pattern.match(text, start, end):
            return found.end()
    return start + _HIGH


def cut_unmarked(text: str, start: int, end: int) -> Iterator[Span]:
    """Pieces at spaces where a script writes no sentence marks (Thai, Lao); else the span itself."""
    if _NO_MARKS.search(text, start, min(end, start + SHORT)):
        while found := _UNSPACED_PIECE.match(text, start, end):
            yield from cut(text, start, found.end())
            start = found.end()
    yield from cut(text, start, end)


def trimmed(text: str, start: int, end: int) -> Iterator[Span]:
    """The span without blanks at its ends; nothing if it is blank."""
    piece = text[start:end]
    bare = piece.strip()
    if bare:
        start += len(piece) - len(piece.lstrip())
        yield Span(start, start + len(bare))
