"""Long texts in chunks that can be ranked: a pasted log is searched all through. Standard library only."""

from __future__ import annotations

import re

from gist_core.passage import Span

_MOST = 2_000  # characters: about what an encoder reads at once; most turns are shorter and stay whole
_ENDS = (re.compile("\n"), re.compile(r"[.!?](?=\s)|[。！？]"), re.compile(r"\s"))  # the better place to cut first


def chunks(text: str) -> list[Span]:
    """The text in stretches of at most 2,000 characters that together are all of it; an empty one gives one.

    Cut behind the last line, sentence or word that ends in the second half of a stretch, else anywhere.
    """
    found, at = [], 0
    while len(text) - at > _MOST:
        end = _end(text, at)
        found.append(Span(at, end))
        at = end
    return [*found, Span(at, len(text))]


def _end(text: str, at: int) -> int:
    for pattern in _ENDS:
        ends = [match.end() for match in pattern.finditer(text, at + _MOST // 2, at + _MOST)]
        if ends:
            return ends[-1]
    return at + _MOST
