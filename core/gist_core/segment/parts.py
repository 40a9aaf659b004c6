"""The words of a sentence, for budgets it does not fit."""

from __future__ import annotations

import re

from gist_core.passage import Span
from gist_core.segment.markup import TAG
from gist_core.segment.protected import protected_in
from gist_core.segment.values import CJK, GLUE, UNSPACED

_UNSPACED_RUN = (
    rf"(?:[\u30a1-\u30ff]{{1,12}}|[\u3041-\u309f]{{1,4}}|[{CJK}])(?>(?:[\u3001\u3002\uff0c\uff1b\uff1a\uff01\uff1f\u300d\u300f\uff09]|[{GLUE}])*)"
    rf"|[{UNSPACED}]{{1,12}}[{GLUE}]*+"
)
_INK = rf"[^\s{CJK}{UNSPACED}]"
_GLUED = rf"(?>(?:[{GLUE}]|(?<=\u200d)\S)*)"
_TOKEN = re.compile(rf"{_UNSPACED_RUN}|{_INK}{{1,64}}+{_GLUED}")
_MARKED_UP = re.compile(rf"{TAG}|{_UNSPACED_RUN}|{_INK}(?>(?:(?!{TAG}){_INK}){{0,63}}){_GLUED}")


def words(text: str, span: Span) -> list[Span]:
    """The words of ``text[span]`` with the punctuation that trails them; scripts without spaces fall into short runs.

    Sorted, disjoint, bounded by non-blank characters; together they cover the span's non-blank text. A protected span
    ("5.2 kg", "not allowed", a quoted string) stays whole, with the word it touches. An HTML tag is a word.
    """
    start, end = span
    token = _TOKEN if text.find("<", start, end) < 0 else _MARKED_UP
    tokens = [found.span() for found in token.finditer(text, start, end)]
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
