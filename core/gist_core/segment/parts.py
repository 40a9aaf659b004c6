"""The words of a sentence, for budgets it does not fit."""

from __future__ import annotations

import re

from gist_core.passage import Span
from gist_core.segment.protected import protected_in
from gist_core.segment.values import CJK, GLUE, UNSPACED

_TOKEN = re.compile(
    rf"(?:[\u30a1-\u30ff]{{1,12}}|[\u3041-\u309f]{{1,4}}|[{CJK}])(?:[\u3001\u3002\uff0c\uff1b\uff1a\uff01\uff1f\u300d\u300f\uff09]|[{GLUE}])*+"
    rf"|[{UNSPACED}]{{1,12}}[{GLUE}]*+"
    rf"|[^\s{CJK}{UNSPACED}]{{1,64}}+(?:[{GLUE}]|(?<=\u200d)\S)*+"
)


def words(text: str, span: Span) -> list[Span]:
    """The words of ``text[span]`` with the punctuation that trails them; scripts without spaces fall into short runs.

    Sorted, disjoint, bounded by non-blank characters; together they cover the span's non-blank text. A protected span
    ("5.2 kg", "not allowed", a quoted string) stays whole, with the word it touches.
    """
    start, end = span
    tokens = [found.span() for found in _TOKEN.finditer(text, start, end)]
    return _joined(sorted([*tokens, *protected_in(text, start, end)]))


def _joined(spans: list[tuple[int, int]]) -> list[Span]:
    """Overlapping spans become one; touching ones stay apart."""
    out: list[Span] = []
    start = end = -1
    for a, b in spans:
        if a < end:
            end = max(end, b)
            continue
        if end > start:
            out.append(Span(start, end))
        start, end = a, b
    return [*out, Span(start, end)] if end > start else out
