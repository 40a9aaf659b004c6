"""What is kept of a unit that does not fit: its best stretch of neighbouring words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp

from gist_core.allocation.sizes import Sizes
from gist_core.allocation.units import Unit
from gist_core.passage import Span

_EQUAL = 1e-9  # sums of floats that differ by less are the same


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

        A stretch reads as its source does, where the best words one by one are a list; and an answer is a stretch.
        The odds of the least word count for nothing, so that of words that are all alike the first are taken.
        """
        worth = self._worth()
        best: Span | None = None
        most = -1.0
        value = total = 0.0
        first = 0
        for last in range(len(self.units)):
            if last and not self._touch(last - 1, last):
                first, value, total = last, 0.0, 0.0
            value += worth[last]
            total += self.sizes[last]
            while total > room and first <= last:
                value -= worth[first]
                total -= self.sizes[first]
                first += 1
            if first > last:
                continue
            span = Span(self.units[first].span.start, self.units[last].span.end)
            same_start = best is not None and best.start == span.start
            if value > most + _EQUAL or (same_start and value > most - _EQUAL):
                best, most = span, value
        return best

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
