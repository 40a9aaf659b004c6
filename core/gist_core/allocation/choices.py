"""The units of all texts in the order in which they deserve to be kept."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log
from typing import NamedTuple

from gist_core.allocation.sizes import Sizes
from gist_core.allocation.units import Unit
from gist_core.passage import Span, merge_spans, render

LONG = 256
"""Characters up to which what a unit requires is counted with each unit; a longer header of a table is counted once."""

_CONTEXT = 64  # characters of a longer one in which the unit after it can change how it is counted


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
    long = [at for at in needy if _is_long(places[at][1])]
    short = sorted(set(needy).difference(long))
    rendered = [render(texts[i], (*unit.requires, unit.span)) for i, unit in (places[at] for at in short)]
    found = list(own)
    for at, size in [
        *zip(short, sizes.many(rendered), strict=True),
        *zip(long, _behind_long(texts, [places[at] for at in long], sizes), strict=True),
    ]:
        found[at] = size
    return found


def _is_long(unit: Unit) -> bool:
    """Whether what it requires is long and stands before it."""
    before = all(span.end <= unit.span.start for span in unit.requires)
    return before and sum(end - start for start, end in unit.requires) > LONG


def _behind_long(texts: Sequence[str], places: Sequence[tuple[int, Unit]], sizes: Sizes) -> list[float]:
    """Sizes of units with what they require: that counted once, and how much each makes its end longer."""
    required = list(dict.fromkeys((i, unit.requires) for i, unit in places))
    ends = [_end_of(spans) for _, spans in required]
    whole = sizes.many([render(texts[i], spans) for i, spans in required])
    less = sizes.many([texts[i][end.start : end.end] for (i, _), end in zip(required, ends, strict=True)])
    known = {key: (end, a - b) for key, end, a, b in zip(required, ends, whole, less, strict=True)}
    pairs = [(i, unit, *known[i, unit.requires]) for i, unit in places]
    more = sizes.many([render(texts[i], (end, unit.span)) for i, unit, end, _ in pairs])
    return [rest + size for (*_, rest), size in zip(pairs, more, strict=True)]


def _end_of(spans: Iterable[Span]) -> Span:
    last = merge_spans(spans)[-1]
    return Span(max(last.start, last.end - _CONTEXT), last.end)
