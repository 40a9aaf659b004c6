"""Of units that do not fit, stretches of their words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gist_core.allocation.choices import Choice, rank
from gist_core.allocation.draft import Draft
from gist_core.allocation.sizes import Sizes
from gist_core.allocation.stretches import Words, words_of
from gist_core.allocation.units import Unit

Finer = Callable[[int, Unit], Sequence[Unit]]
"""``finer(index, unit)``: the words of a unit of the text at ``index``, scored in logits like units."""

_MOST = 16  # units that are cut: each has more tokens than the budget, so that even one could fill it
_TRIES = 4  # a stretch may have more tokens than its words: those of what it requires, or where tokens merge otherwise
_LEAST = 2  # tokens that better choices must leave: less is no stretch
_UNUSED = 0.2  # share of the budget that whole units may leave unused
_UNUSED_LEAST = 6  # tokens that they may


@dataclass(frozen=True, slots=True)
class Refiner:
    """Cuts stretches from units of ``texts``, where they do not fit as they are."""

    texts: Sequence[str]
    sizes: Sizes
    finer: Finer
    exponent: float

    def refine(self, ranked: Sequence[Choice], room: float) -> list[Choice]:
        """The choices, in the same order; a stretch for what is larger than ``room``, of what better choices leave."""
        most = room + (0.0 if self.sizes.exact else self.sizes.margin)
        only_prose = any(choice.size <= most for choice in ranked)
        kept: list[Choice] = []
        left, cut = room, 0
        for whole in ranked:
            choice, fits = whole, whole.size <= most
            may = whole.unit.prose or not only_prose
            if not fits and may and cut < _MOST and left >= (_LEAST if left < room else 1):
                cut += 1
                choice, fits = self._cut(whole, left)
            left -= choice.size if fits else 0
            kept.append(choice)
        return kept

    def use_rest(self, draft: Draft, ranked: Sequence[Choice]) -> bool:
        """Keep stretches of the best units left out, where whole ones leave much of the budget; False if none."""
        used, failed = False, 0
        for choice in ranked:
            if failed == _TRIES or not _much_is_left(draft):
                break
            readable = choice.unit.prose or draft.is_empty
            if readable and not draft.touches(choice.passage, choice.unit.span):
                inserted = self._insert(draft, choice)
                used |= inserted
                failed += not inserted
        return used

    def _insert(self, draft: Draft, choice: Choice) -> bool:
        words, aim = self._words(choice), float(draft.slack)
        while aim >= 1 and (span := words.stretch(aim)):
            if draft.insert(choice.passage, (*words.requires, span)):
                return True
            aim //= 2
        return False

    def _cut(self, choice: Choice, room: float) -> tuple[Choice, bool]:
        """The best stretch of a unit that fits into ``room``, at the rank of the unit; the unit if there is none."""
        words, aim = self._words(choice), room
        for _ in range(_TRIES):
            span = words.stretch(aim)
            if span is None:
                break
            found = self._choice(choice, Unit(span, choice.unit.score, words.requires))
            if found.size <= room:
                return found, True
            aim -= max(found.size - room, 1.0)
        return choice, False

    def _choice(self, whole: Choice, unit: Unit) -> Choice:
        places = [[unit] if i == whole.passage else [] for i in range(whole.passage + 1)]
        return rank(self.texts, places, self.sizes, self.exponent)[0]._replace(order=whole.order)

    def _words(self, choice: Choice) -> Words:
        return words_of(self.texts[choice.passage], self.finer(choice.passage, choice.unit), self.sizes)


def _much_is_left(draft: Draft) -> bool:
    return draft.is_empty or draft.slack >= max(_UNUSED_LEAST, _UNUSED * draft.limit)
