"""The units of all texts in the order in which they deserve to be kept; oversized ones in finer pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import log
from typing import NamedTuple

from gist_core.allocation.sizes import Sizes
from gist_core.passage import Span, render

_MOST_REFINED = 16  # each has more tokens than the budget, so that even one could fill it


@dataclass(frozen=True, slots=True)
class Unit:
    """A slice that can be kept. ``requires`` are slices that come along, such as the heading of its section."""

    span: Span
    score: float
    requires: tuple[Span, ...] = ()


Finer = Callable[[int, Unit], Sequence[Unit]]


class Choice(NamedTuple):
    """A unit of the text at ``passage`` with all spans it brings along.

    ``size`` is their size in tokens, rendered alone; ``own`` the unit's without what it requires.
    """

    order: tuple[float, int, int]
    passage: int
    unit: Unit
    spans: tuple[Span, ...]
    size: float
    own: float


def rank(texts: Sequence[str], units: Iterable[Iterable[Unit]], sizes: Sizes, length_exponent: float) -> list[Choice]:
    """All units, best first: by score less ``length_exponent * ln(size)``, then by position."""
    places = [(i, unit) for i, some in enumerate(units) for unit in some]
    own = sizes.many([texts[i][unit.span.start : unit.span.end] for i, unit in places])
    found = _with_required(texts, places, own, sizes)
    choices = [
        Choice(
            (length_exponent * log(max(size, 1)) - unit.score, i, unit.span.start),
            i,
            unit,
            (*unit.requires, unit.span),
            size,
            less,
        )
        for (i, unit), size, less in zip(places, found, own, strict=True)
    ]
    return sorted(choices, key=lambda choice: choice.order)


def refine(
    ranked: list[Choice],
    texts: Sequence[str],
    sizes: Sizes,
    finer: Finer,
    *,
    length_exponent: float,
    room: float,
) -> list[Choice]:
    """Replace units that cannot fit in ``room`` tokens by their clauses, and such clauses by their words.

    Only those that stand where better units leave room are asked for, and at most a fixed number: the pieces of
    one are enough to fill the budget.
    """
    fresh = ranked
    for _ in ("clauses", "words"):
        huge = _oversized(ranked, fresh, room, 0.0 if sizes.exact else sizes.margin)
        if not huge:
            break
        pieces: list[list[Unit]] = [[] for _ in texts]
        for choice in huge:
            found = finer(choice.passage, choice.unit)
            pieces[choice.passage] += [p for p in found if p.span.start < p.span.end and p.span != choice.unit.span]
        fresh = rank(texts, pieces, sizes, length_exponent)
        gone = {id(choice) for choice in huge}
        ranked = sorted([c for c in ranked if id(c) not in gone] + fresh, key=lambda choice: choice.order)
    return ranked


def _oversized(ranked: list[Choice], among: list[Choice], room: float, margin: float) -> list[Choice]:
    fresh = {id(choice) for choice in among}
    found: list[Choice] = []
    left = room
    for choice in ranked:
        if left <= 0 or len(found) == _MOST_REFINED:
            break
        if choice.size <= room + margin:
            left -= choice.size
        elif id(choice) in fresh:
            found.append(choice)
    return found


def _with_required(
    texts: Sequence[str], places: Sequence[tuple[int, Unit]], own: Sequence[float], sizes: Sizes
) -> list[float]:
    needy = [at for at, (_, unit) in enumerate(places) if unit.requires]
    rendered = [render(texts[i], (*unit.requires, unit.span)) for i, unit in (places[at] for at in needy)]
    found = list(own)
    for at, size in zip(needy, sizes.many(rendered), strict=True):
        found[at] = size
    return found
