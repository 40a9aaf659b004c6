"""The parts of a sentence, for budgets it does not fit: clauses, then words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

from gist_core.passage import Span
from gist_core.segment.cut import trimmed
from gist_core.segment.protected import protected_in
from gist_core.segment.values import CJK, CLOSERS, GLUE, UNSPACED

_CONJUNCTIONS = (
    "and|but|or|nor|yet|so|because|although|though|while|whereas|when|whenever|if|unless|until|since|after|before|that|which|who|whom"
    "|whose|where|as|und|aber|oder|weil|dass|mais|parce|pero|porque|que|qui"
)
_CLAUSE_END = re.compile(
    rf"[;:,\u2026][{CLOSERS}]{{0,3}}+(?=\s)|[\u060c\u061b](?!\d)|[\u3001\uff0c\uff1b\uff1a\u3002\uff01\uff1f]|[.!?][{CLOSERS}]{{0,3}}+(?=\s)"
    rf"|[)\]\uff09](?=\s)|(?=(?<=\s)[(\[])|(?=\uff08)|(?<=\s)[\u2013\u2014-]{{1,3}}(?=\s)|\u2014|\s(?=(?:{_CONJUNCTIONS})\s)"
)
_WIDE = re.compile(rf"[{CJK}]")
_MIN_SPACED, _MIN_WIDE = 16, 6  # characters: about three words
_TOKEN = re.compile(
    rf"(?:[\u30a1-\u30ff]{{1,12}}|[\u3041-\u309f]{{1,4}}|[{CJK}])(?:[\u3001\u3002\uff0c\uff1b\uff1a\uff01\uff1f\u300d\u300f\uff09]|[{GLUE}])*+"
    rf"|[{UNSPACED}]{{1,12}}[{GLUE}]*+"
    rf"|[^\s{CJK}{UNSPACED}]{{1,64}}+(?:[{GLUE}]|(?<=\u200d)\S)*+"
)


def clauses(text: str, span: Span) -> list[Span]:
    """The clauses of ``text[span]``: cut at marks, parentheses and conjunctions, none under about three words.

    Sorted, disjoint, bounded by non-blank characters; together they cover the span's non-blank text. No protected span
    is split.
    """
    start, end = span
    marks = (found.end() for found in _CLAUSE_END.finditer(text, start, end))
    cuts = [start]
    for at in _outside(marks, protected_in(text, start, end)):
        if _enough(text, cuts[-1], at) and _enough(text, at, end):
            cuts.append(at)
    return [piece for a, b in pairwise([*cuts, end]) for piece in trimmed(text, a, b)]


def _outside(cuts: Iterable[int], protected: list[Span]) -> Iterator[int]:
    """The ascending ``cuts`` that fall into no protected span."""
    spans = iter([*protected, Span(1 << 62, 1 << 62)])
    current = next(spans)
    for at in cuts:
        while current.end <= at:
            current = next(spans)
        if at <= current.start:
            yield at


def _enough(text: str, start: int, end: int) -> bool:
    length = end - start
    return length >= _MIN_SPACED or (length >= _MIN_WIDE and _WIDE.search(text, start, end) is not None)


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


def finer_spans(text: str, span: Span) -> list[Span]:
    """The clauses of a span; of a single clause, the words; nothing of a single word."""
    for split in (clauses, words):
        parts = split(text, span)
        if len(parts) > 1:
            return parts
    return []
