"""JSON texts laid out over several lines, so that people can read them. Standard library only."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from itertools import accumulate, pairwise

_PART = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
_DEEPEST = {"{": 2, "[": 1}  # values nested deeper share a line: an array is a table of rows
_OPEN, _CLOSE = ("{", "["), ("}", "]")


class Layout:
    """A text as it is shown: JSON objects and arrays indented, all other texts as they are.

    Only the blank space between the parts of a JSON text is another one; numbers and strings stay as they are written.

    Attributes:
        text: The text as it is shown.
        is_json: Whether it is a JSON object or array.
    """

    def __init__(self, text: str) -> None:
        self.is_json = _is_json(text)
        parts = [(match.start(), match[0]) for match in _PART.finditer(text)] if self.is_json else [(0, text)]
        blanks = _blanks([part for _, part in parts])
        self.text = "".join(blank + part for blank, (_, part) in zip(blanks, parts, strict=True))
        self._given = [start for start, _ in parts]
        self._sizes = [len(part) for _, part in parts]
        ends = accumulate(len(blank) + size for blank, size in zip(blanks, self._sizes, strict=True))
        self._shown = [end - size for end, size in zip(ends, self._sizes, strict=True)]

    def span(self, span: tuple[int, int]) -> tuple[int, int]:
        """Where a non-empty span of the text as it was given stands in the text as it is shown."""
        return self._at(span[0]), self._at(span[1] - 1) + 1

    def _at(self, offset: int) -> int:
        part = max(bisect_right(self._given, offset) - 1, 0)  # blank space belongs to the part before it
        return self._shown[part] + min(max(offset - self._given[part], 0), self._sizes[part] - 1)


def _is_json(text: str) -> bool:
    if not text.lstrip().startswith(_OPEN):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _blanks(parts: list[str]) -> list[str]:
    """What stands before each part of a JSON text."""
    blanks, depth, deepest = [""], int(parts[0] in _OPEN), _DEEPEST.get(parts[0], 0)
    for last, part in pairwise(parts):
        closes = part in _CLOSE
        broken = last in _OPEN or last == "," or closes
        empty = closes and last in _OPEN
        if broken and depth <= deepest and not empty:
            blanks.append("\n" + "  " * (depth - closes))
        else:
            blanks.append(" " if last in (",", ":") else "")
        depth += (part in _OPEN) - closes
    return blanks


__all__ = ["Layout"]
