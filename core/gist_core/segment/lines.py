"""The non-blank lines of a text, each with the tag its look earns."""

from __future__ import annotations

import re
from typing import NamedTuple

from gist_core.segment.values import EOL

# A match swallows all blanks before a line at once, so that runs of blanks cost one step.
_LINE = re.compile(rf"(?P<gap>\s*+)(?P<body>[^{EOL}]*\S)")
_TAG = re.compile(
    r"(?P<fence>`{3,}|~{3,})"
    r"|(?P<mark>\#{1,6}[ \t]++\S)"
    r"|(?P<under>(?:={2,}+|-{2,}+)\Z)"
    r"|(?P<separator>\|?[ \t]*+:?-++:?[ \t]*+(?>(?:\|[ \t]*+:?-++:?[ \t]*+)+)\|?[ \t]*+\Z)"
    r"|(?P<separator1>\|[ \t]*+:?-{2,}+:?[ \t]*+\|?\Z)"
    r"|(?P<pipe>\|.)"
    r"|(?P<item>(?:[-*+\u2022\u2023\u25e6\u25aa\u25cf\u00b7]|\(\w{1,3}\)"
    r"|(?:[a-z]|[ivx]{1,4})\))[ \t]++(?:\[[ xX]\][ \t]++)?(?=\S)"
    r"|[\u2022\u25cf](?=\S)|[\u2013\u2014][ \t]*+(?=[^\W\d_a-z]))"
    r"|(?P<number>\(?\d{1,3}(?>(?:\.\d{1,3}){0,4})[.)]?[ \t\u3000]++(?=\S)|\d{1,3}[\u3001\uff0e])"
    r"|(?P<turn>(?:\[[^\]]{1,24}\][ \t]*+(?:[\w.-]{1,24}(?=:))?)?(?:(?<=\w)"
    r"|[^\W\d_a-z][\w.'\u2019-]{0,20}+(?>(?:[ \t][\w.'\u2019()-]{1,20}+){0,3})|<[\w .-]{1,24}>)[:\uff1a](?=\s|\Z))"
)


class Line(NamedTuple):
    """A non-blank line without the blanks around it; ``indent`` in characters, a tab counts 4."""

    start: int
    end: int
    indent: int
    blank_before: bool
    tag: str | None
    tag_end: int


def lines(text: str) -> list[Line]:
    """All non-blank lines in order."""
    out: list[Line] = []
    for found in _LINE.finditer(text, 0, len(text.rstrip())):
        start, end = found.span("body")
        indent, blank = _gap(found["gap"], first=not out)
        tag = _TAG.match(text, start, end)
        out.append(Line(start, end, indent, blank, tag.lastgroup if tag else None, tag.end() if tag else start))
    return out


def _gap(gap: str, *, first: bool) -> tuple[int, bool]:
    """(indent, whether a blank line lies before) from the blanks between two lines."""
    if len(gap) <= 1 and not first:
        return 0, False
    parts = f"{gap}x".splitlines()
    indent = parts[-1][:-1]
    return len(indent) + 3 * indent.count("\t"), first or len(parts) > 2
