"""What is kept of a unit that does not fit: its best stretch of neighbouring words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp

from gist_core.allocation.sizes import Sizes
from gist_core.allocation.units import Unit
from gist_core.passage import Span

_EQUAL = 1e-9  # sums of floats that differ by less are the same
_CLAUSE = 0.1  # of a stretch's odds, for either end of it that is a clause's (core/decisions/0012-stretches.md)
# Marks at which a clause, a quotation or a bracket ends or begins, in the scripts that have them.
_CLOSES = frozenset(
    ',;:.!?\u2026\u2013\u2014)]}"\u201d\u2019\u00bb'
    "\u3001\u3002\uff0c\uff1b\uff1a\uff01\uff1f\u300d\u300f\uff09\u060c\u061b\u061f\u06d4\u0964"
)
_OPENS = frozenset('([{"\u201c\u2018\u00ab\u2013\u2014\u300c\u300e\uff08')


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a unit of ``text``: sorted, disjoint, scored in logits, all requiring the same.

    ``sizes`` are the tokens of each with the space before it.
    """

    text: str
    units: Sequence[Unit]
    sizes: Sequence[float]

    @property
    def requires(self) -> tuple[Span, ...]:
        """What the words require."""
        return self.units[0].requires if self.units else ()

    def stretch(self, room: float) -> Span | None:
        """The neighbours in ``room`` tokens that hold the most odds, summed over tokens; None if not one word fits.

        A stretch reads as its source does, where the best words one by one are a list; and an answer is a stretch. It
        reads best from a clause's start and to a clause's end, so each of these counts for a tenth of its odds.
        The odds of the least word count for nothing, so that of words that are all alike the first are taken.
        """
        odds = [0.0, *accumulate(self._worth())]
        begins, ends = self._clauses()
        best: Span | None = None
        most = -1.0
        for first, last in self._fitting(room, begins):
            value = (odds[last + 1] - odds[first]) * (1 + _CLAUSE * (begins[first] + ends[last]))
            span = Span(self.units[first].span.start, self.units[last].span.end)
            same_start = best is not None and best.start == span.start
            if value > most + _EQUAL or (same_start and value > most - _EQUAL):
                best, most = span, value
        return best

    def _fitting(self, room: float, begins: Sequence[bool]) -> Iterator[tuple[int, int]]:
        """For each word the longest stretch up to it that fits, and the longest of those that begin a clause."""
        total, first, clause = 0.0, 0, 0
        for last, size in enumerate(self.sizes):
            if last and not self._touch(last - 1, last):
                first, total = last, 0.0
            total += size
            while total > room and first <= last:
                total -= self.sizes[first]
                first += 1
            if first <= last:
                yield first, last
            clause = max(clause, first)
            while clause <= last and not begins[clause]:
                clause += 1
            if first < clause <= last:
                yield clause, last

    def _clauses(self) -> tuple[list[bool], list[bool]]:
        """Of each word whether it begins a clause, or ends one: at a mark, at the unit's edge."""
        words = [self.text[unit.span.start : unit.span.end] for unit in self.units]
        begins = [not at or words[at][0] in _OPENS or words[at - 1][-1] in _CLOSES for at in range(len(words))]
        return begins, [*begins[1:], True]

    def _worth(self) -> list[float]:
        top = max((unit.score for unit in self.units), default=0.0)
        odds = [exp(unit.score - top) for unit in self.units]
        least = min(odds, default=0.0)
        return [size * (chance - least) for size, chance in zip(self.sizes, odds, strict=True)]

    def _touch(self, one: int, other: int) -> bool:
        """Whether nothing but white space lies between: a threshold may have taken out words."""
        return not self.text[self.units[one].span.end : self.units[other].span.start].strip()


def words_of(text: str, units: Sequence[Unit], sizes: Sizes) -> Words:
    """``Words`` with their sizes; empty units are left out."""
    real = [unit for unit in units if unit.span.start < unit.span.end]
    starts = [real[i - 1].span.end if i else unit.span.start for i, unit in enumerate(real)]
    slices = [text[start : unit.span.end] for start, unit in zip(starts, real, strict=True)]
    nothing, *found = sizes.many(["", *slices])  # what is estimated for no text at all is paid once, not by each word
    return Words(text, real, [max(size - nothing, 0.0) for size in found])
