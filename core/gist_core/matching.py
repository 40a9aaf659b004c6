"""Whether a value stands in a text by itself. Pure."""

from __future__ import annotations

import re

from gist_core.segment.values import CJK, UNSPACED

_ALONE = re.compile(rf"[{CJK}{UNSPACED}]")


def folded(text: str) -> str:
    """Case folded, each run of white space as one space."""
    return " ".join(text.casefold().split())


def stands(value: str, body: str) -> bool:
    """Whether a value stands in a text by itself: not inside a longer word or number, as 5 in 15, 5.2 or 5th.

    Both are folded. In scripts without spaces, and where such a script meets another, words have no edge to look for.

    Example:
        >>> stands("5", "from 5, at 15"), stands("5", "5.2 or 15")
        (True, False)
    """
    at = body.find(value)
    while at >= 0:
        end = at + len(value)
        if not _goes_on(value[0], body[max(0, at - 2) : at][::-1]) and not _goes_on(value[-1], body[end : end + 2]):
            return True
        at = body.find(value, at + 1)
    return False


def _goes_on(edge: str, beyond: str) -> bool:
    """Whether what stands beyond the edge of a value, nearest first, belongs to the same word or number."""
    if edge.isalnum() and beyond[:1].isalnum():
        return not _ALONE.match(edge) and not _ALONE.match(beyond)
    return edge.isdigit() and len(beyond) == 2 and beyond[0] in ".,:" and beyond[1].isdigit()
