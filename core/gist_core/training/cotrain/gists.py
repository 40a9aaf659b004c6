"""Gists as sets of kept words: rendered, counted, drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gist_core.passage import Span, render
from gist_core.training.cotrain.scoring import Frame

Mask = NDArray[np.bool_]
_LOWEST, _HIGHEST = 0.03, 0.6  # rates of random gists; drawn evenly on a logarithmic scale
_EMPTY, _WHOLE = 0.1, 0.05  # shares of random gists that hold nothing and everything


def gist_text(context: str, units: Sequence[Span], mask: Mask) -> str:
    """The kept units as a selective compressor renders them."""
    return render(context, [units[i] for i in np.flatnonzero(mask).tolist()])


def fitted(
    context: str, units: Sequence[Span], chosen: Sequence[int], room: int, count: Callable[[str], int]
) -> list[Span]:
    """The units ``chosen``, in the text's order, less the last chosen until they have at most ``room`` tokens rendered.

    What the units were counted as, each behind a space, can be too little: the first word has none, and a line break
    may be a token of its own.
    """
    kept = len(chosen)
    while kept and count(render(context, [units[i] for i in chosen[:kept]])) > room:
        kept -= 1
    return [units[i] for i in sorted(chosen[:kept])]


class WordSizes:
    """How many of a frame's tokens words have, each with the space before it; what was counted once is remembered."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._known: dict[str, int] = {}

    def of(self, context: str, units: Sequence[Span]) -> list[int]:
        """The sizes of a context's units."""
        words = [f" {context[u.start : u.end]}" for u in units]
        new = list(set(words) - self._known.keys())
        self._known |= {word: len(ids) for word, ids in zip(new, self._frame.many(new), strict=True)}
        return [self._known[word] for word in words]


def unit_means(units: Sequence[Span], starts: NDArray[np.int64], values: NDArray[np.float32]) -> NDArray[np.float64]:
    """(N,) values of tokens that begin at ``starts`` -> (U,) means over units; 0 for a unit without tokens."""
    unit = np.maximum(np.searchsorted([u.start for u in units], starts, side="right") - 1, 0)
    count = np.bincount(unit, minlength=len(units))
    return np.bincount(unit, weights=values, minlength=len(units)) / np.maximum(count, 1)


def runs(mask: Mask) -> int:
    """Into how many stretches of neighbouring units a gist falls: the fewer, the better it reads."""
    return int(mask[0]) + int((mask[1:] & ~mask[:-1]).sum()) if len(mask) else 0


def random_mask(rng: np.random.Generator, units: Sequence[Span]) -> Mask:
    """A gist of any rate and kind: nothing, everything, lone words (long ones preferred or not), stretches of words.

    What the generator reads of these it must never forget, else no policy could find its way back to them.
    """
    count = len(units)
    kind = rng.random()
    if kind < _EMPTY or not count:
        return np.zeros(count, dtype=np.bool_)
    if kind < _EMPTY + _WHOLE:
        return np.ones(count, dtype=np.bool_)
    kept = max(1, round(count * float(np.exp(rng.uniform(np.log(_LOWEST), np.log(_HIGHEST))))))
    if rng.random() < 0.5:
        return _stretches(rng, count, kept)
    lengths = np.array([u.end - u.start for u in units], dtype=np.float64) ** rng.integers(0, 3)
    mask = np.zeros(count, dtype=np.bool_)
    mask[rng.choice(count, size=kept, replace=False, p=lengths / lengths.sum())] = True
    return mask


def _stretches(rng: np.random.Generator, count: int, kept: int) -> Mask:
    mask = np.zeros(count, dtype=np.bool_)
    while mask.sum() < kept:
        start, length = int(rng.integers(count)), int(rng.integers(2, 9))
        mask[start : start + length] = True
    return mask
