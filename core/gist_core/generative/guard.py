"""What a gist says that its source does not: numbers, dates, identifiers, proper nouns. Pure.

``gist_core.facts`` says what such a value is; case and runs of white space do not matter. Of a name only the words
that the source lacks are at fault, so that two names of the source may come to stand side by side; any other value
must stand in the source as a whole. Words with a digit count too where no value was found, such as a list's number. A
single capitalised word that begins a sentence is not checked: it may owe its capital to its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from gist_core.facts import FactKind, facts, value_texts
from gist_core.matching import folded, stands
from gist_core.passage import Span, merge_spans
from gist_core.segment.values import CJK, UNSPACED

MOST_CUT = 0.25
"""A gist that loses a larger share of its characters is not to be trusted at all."""

_ROUNDS = 8  # a cut can bring two words together that make a new value; a sound gist takes one or two rounds
_VALUES = frozenset({FactKind.NUMBER, FactKind.DATE, FactKind.IDENTIFIER, FactKind.NAME})
_PLAIN = re.compile(rf"[^\W{CJK}{UNSPACED}]++")
_WORD = re.compile(r"\S+")


class Guarded(NamedTuple):
    """The gist without what its source does not say, empty where too much had to go; how many values were cut."""

    text: str
    cut: int


class Source:
    """What a gist is held against: a passage, read once for any number of gists."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._body = folded(text)

    def unfounded(self, gist: str) -> list[Span]:
        """Where the gist has a value that the source does not; sorted, disjoint."""
        values = [fact for fact in facts(gist) if fact.kind in _VALUES]
        taken = merge_spans((start, end) for start, end, _ in values)
        parts = [part for fact in values for part in _parts(gist, *fact)]
        return merge_spans(
            span for span in [*parts, *_digits(gist, taken)] if not self._holds(folded(gist[span.start : span.end]))
        )

    def _holds(self, value: str) -> bool:
        return stands(value, self._body) or value in self._values

    @cached_property
    def _values(self) -> frozenset[str]:
        """The source's own values, which a gist may repeat although they go on in the source: August 5 of August 5.2"""
        return frozenset(folded(text) for _, text in value_texts(self._text))


def guard(source: Source, gist: str) -> Guarded:
    """Cut from a gist what its source does not bear out.

    Args:
        source: The passage.
        gist: What was written of it.

    Returns:
        A text in which ``source.unfounded`` finds nothing; the gist itself, byte for byte, where it found nothing
        there.

    Example:
        >>> guard(Source("Napoleon was born in 1769."), "It was in 1796 that Napoleon was born to the world.")
        Guarded(text='It was in that Napoleon was born to the world.', cut=1)
    """
    text, cut = gist, 0
    for _ in range(_ROUNDS):
        spans = source.unfounded(text)
        if not spans:
            break
        text, cut = _without(text, spans), cut + len(spans)
    else:
        return Guarded("", cut)
    return Guarded(text if len(gist) - len(text) <= MOST_CUT * len(gist) else "", cut)


def _parts(gist: str, start: int, end: int, kind: FactKind) -> Iterator[Span]:
    """What of a value must stand in the source as a whole."""
    if kind is not FactKind.NAME:
        yield Span(start, end)
        return
    for word in _WORD.finditer(gist, start, end):
        if word[0][0].isupper():
            yield Span(*word.span())


def _digits(gist: str, taken: Sequence[Span]) -> Iterator[Span]:
    """The words with a digit that are part of no value."""
    for word in _PLAIN.finditer(gist):
        start, end = word.span()
        if any(map(str.isdigit, word[0])) and not any(start < b and a < end for a, b in taken):
            yield Span(start, end)


def _without(text: str, spans: Sequence[Span]) -> str:
    """The text without the spans and the blanks before them, and without what that leaves hollow."""
    out = text[: spans[0].start]
    for (_, at), then in zip(spans, [*(span.start for span in spans[1:]), len(text)], strict=True):
        head, tail = out.rstrip(" \t"), text[at:then]
        if head[-1:] + tail[:1] in ("()", "[]"):
            head, tail = head[:-1].rstrip(" \t"), tail[1:]
        out = head + tail
    return out.lstrip(" \t\r\n,;:.!?)-").rstrip()
