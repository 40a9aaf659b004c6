"""What needs no model and no words: the beginning, the end, anything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gist_core.evaluation.systems.units import Floats, Ints, UnitCompressor
from gist_core.passage import hash_text


def head() -> UnitCompressor:
    """The beginning of every passage, the same share of each."""
    return UnitCompressor("head", by_place)


def tail() -> UnitCompressor:
    """The end of every passage, the same share of each."""
    return UnitCompressor("tail", by_place_from_the_end)


def random_sentences() -> UnitCompressor:
    """Units at random; the same ones for the same passages, and at a larger budget those of a smaller one too."""
    return UnitCompressor("random sentences", at_random)


def by_place(query: str, units: Sequence[str], texts: Sequence[str], owner: Ints) -> Floats:
    """Minus the share of its passage's units, in characters, that stands before a unit."""
    sizes = np.array([len(unit) for unit in units], dtype=np.float64)
    before = np.cumsum(sizes) - sizes
    first = np.searchsorted(owner, owner)
    length = np.bincount(owner, weights=sizes, minlength=len(texts))
    return np.asarray(-(before - before[first]) / np.maximum(length[owner], 1.0))


def by_place_from_the_end(query: str, units: Sequence[str], texts: Sequence[str], owner: Ints) -> Floats:
    """Minus the share that stands behind a unit."""
    return by_place(query, units[::-1], texts, len(texts) - 1 - owner[::-1])[::-1]


def at_random(query: str, units: Sequence[str], texts: Sequence[str], owner: Ints) -> Floats:
    """Evenly distributed, seeded by the texts."""
    seed = int(hash_text("\n\n".join(texts))[:16], 16)
    return np.random.default_rng(seed).random(len(units))
