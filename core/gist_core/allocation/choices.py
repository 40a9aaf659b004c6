"""The units of all texts in the order in which they deserve to be kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log
from typing import NamedTuple

from gist_core.allocation.sizes import Sizes
from gist_core.allocation.units import Unit
from gist_core.passage import Span, render


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


def _with_required(
    texts: Sequence[str], places: Sequence[tuple[int, Unit]], own: Sequence[float], sizes: Sizes
) -> list[float]:
    needy = [at for at, (_, unit) in enumerate(places) if unit.requires]
    rendered = [render(texts[i], (*unit.requires, unit.span)) for i, unit in (places[at] for at in needy)]
    found = list(own)
    for at, size in zip(needy, sizes.many(rendered), strict=True):
        found[at] = size
    return found
