"""How many of the query's words a unit holds: BM25 and word pairs over WordPiece ids, without a loop over tokens.

WordPiece ids stand for words: they are lower-cased, cost nothing here since the encoder needs them anyway, and
fall apart into characters in scripts the vocabulary does not know, where the pairs then act as bigrams.
Source: Robertson and Zaragoza 2009, k1 = 1.2, b = 0.75; divided by the largest possible value, so 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
Floats64 = NDArray[np.float64]
K1, B = 1.2, 0.75


@dataclass(frozen=True, slots=True)
class Overlap:
    """``unit`` and ``window`` BM25, (U,) and (W,); ``pairs`` (U,), share of the query's pairs, weighted by rarity."""

    unit: Floats
    window: Floats
    pairs: Floats


def overlap(query: Ints, ids: Ints, unit: Ints, window: Ints, units: int, windows: int) -> Overlap:
    """Lexical overlap of a query with units and windows.

    Args:
        query: (Q,) ids of the query without special tokens.
        ids: (N,) token ids of the texts.
        unit: (N,) unit of each token, below ``units``; -1 for a title's, which count for their window alone.
        window: (N,) window of each token, below ``windows``.
        units: Number of units; rarity is counted over them.
        windows: Number of windows.
    """
    terms, query_terms = np.unique(query, return_inverse=True)
    if not len(terms) or not len(ids):
        return Overlap(_zeros(units), _zeros(windows), _zeros(units))
    anywhere = np.flatnonzero(np.isin(ids, terms))
    found_terms, inside = np.searchsorted(terms, ids[anywhere]), unit[anywhere] >= 0
    at, term = anywhere[inside], found_terms[inside]
    rare = rarity(unit[at], term, units, len(terms))
    return Overlap(
        bm25(unit[at], term, np.bincount(unit[unit >= 0], minlength=units), rare),
        bm25(window[anywhere], found_terms, np.bincount(window, minlength=windows), rare),
        _pairs(query_terms, rare, at, term, unit, units),
    )


def rarity(unit: Ints, term: Ints, units: int, terms: int) -> Floats64:
    """(T,) how much each term tells, by how many units hold it; ``unit`` and ``term`` (M,) of each occurrence."""
    found = np.bincount(np.unique(unit * terms + term) % max(terms, 1), minlength=terms)
    return np.asarray(np.log1p((units - found + 0.5) / (found + 0.5)))


def bm25(owner: Ints, term: Ints, lengths: Ints, rarity: Floats64) -> Floats:
    """(O,) BM25 over its largest possible value, in memory that grows with what is found.

    ``owner`` and ``term`` (M,) of each occurrence, ``lengths`` (O,) of the owners in terms, ``rarity`` (T,).
    """
    if not len(lengths):
        return _zeros(0)
    pairs, counts = np.unique(owner * len(rarity) + term, return_counts=True)
    holder, held = np.divmod(pairs, max(len(rarity), 1))
    norm = K1 * (1 - B + B * lengths / max(float(lengths.mean()), 1.0))
    weights = rarity[held] * counts * (K1 + 1) / (counts + norm[holder])
    scores = np.bincount(holder, weights, minlength=len(lengths))
    return np.asarray(scores / ((K1 + 1) * max(rarity.sum(), 1e-9)), dtype=np.float32)


def _zeros(size: int) -> Floats:
    return np.zeros(size, dtype=np.float32)


def _pairs(query: Ints, rarity: Floats64, at: Ints, term: Ints, unit: Ints, units: int) -> Floats:
    wanted = np.unique(query[:-1] * len(rarity) + query[1:])
    if not len(wanted) or len(at) < 2:
        return _zeros(units)
    weight = rarity[wanted // len(rarity)] + rarity[wanted % len(rarity)]
    adjacent = (np.diff(at) == 1) & (unit[at[:-1]] == unit[at[1:]])
    codes = term[:-1][adjacent] * len(rarity) + term[1:][adjacent]
    owner, known = unit[at[:-1]][adjacent], np.isin(codes, wanted)
    hits = np.unique(owner[known] * len(wanted) + np.searchsorted(wanted, codes[known]))
    held = np.bincount(hits // len(wanted), weight[hits % len(wanted)], minlength=units)
    return np.asarray(held / max(weight.sum(), 1e-9), dtype=np.float32)
