"""Where a query's character trigrams stand in texts: what words share that inflect, compound or carry an article.

Arrays over characters, some at a time, never a loop over them. Trigrams stay within a word, a shorter word is one gram;
in scripts without spaces single characters and pairs are. Sources: McNamee and Mayfield 2004, "Character N-Gram
Tokenization for European Language Text Retrieval"; Nie et al. 2000, "On the Use of Words and N-grams for Chinese
Information Retrieval".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gist_core.passage import Span
from gist_core.selective.lexical import bm25, rarity
from gist_core.words import is_unspaced

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]
REACH = 150  # characters, to either side
CHUNK = 65_536  # characters at a time: their arrays take forty times the room of the text
_BITS = 21  # of a code point, so that three make one number
_OTHER, _SPACED, _UNSPACED = 0, 1, 2  # what a character is: no word's, of a word between spaces, of one without


@dataclass(frozen=True, slots=True)
class GramHits:
    """The M places at which one of the query's Q grams starts, in the order of the texts.

    ``gram`` (M,) below Q, ``unit`` (M,) numbered over all texts, ``passage`` (M,), ``place`` (M,) in characters of its
    text. ``unit_length`` (U,) and ``passage_length`` (P,) count all grams, found or not; ``rarity`` is (Q,).
    """

    gram: Ints
    unit: Ints
    passage: Ints
    place: Ints
    unit_length: Ints
    passage_length: Ints
    rarity: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class GramOverlap:
    """BM25 of the query's grams, 0 to 1: ``unit`` (U,), ``passage`` (P,), ``near`` (U,) of the units beside each."""

    unit: Floats
    passage: Floats
    near: Floats


def gram_hits(query: str, texts: Sequence[str], units: Sequence[Sequence[Span]]) -> GramHits:
    """Look the query's grams up in texts; ``units`` of each are sorted and disjoint."""
    asked = np.unique(grams(query)[0])
    begins = np.cumsum([0, *(len(text) + 1 for text in texts)])  # where texts begin if one line holds each
    firsts = np.cumsum([0, *map(len, units)])
    starts = np.array([b + span.start for b, spans in zip(begins.tolist(), units, strict=False) for span in spans])
    unit_length, passage_length = np.zeros(firsts[-1], np.int64), np.zeros(len(texts), np.int64)
    columns = [(np.zeros(0, np.int64),) * 4]
    for ids, place in _grams_of(texts) if len(asked) else ():
        passage = np.searchsorted(begins, place, side="right") - 1
        unit = np.maximum(np.searchsorted(starts, place, side="right") - 1, firsts[passage])
        _count(unit_length, unit)
        _count(passage_length, passage)
        hit = np.isin(ids, asked)
        source = passage[hit]
        columns.append((np.searchsorted(asked, ids[hit]), unit[hit], source, place[hit] - begins[source]))
    gram, owner, source, where = (np.concatenate(c) for c in zip(*columns, strict=True))
    rare = rarity(owner, gram, len(unit_length), len(asked))
    return GramHits(gram, owner, source, where, unit_length, passage_length, rare)


def _count(lengths: Ints, of: Ints) -> None:
    """Add to each length how often its number stands in ``of``, which is sorted."""
    if len(of):
        lengths[of[0] : of[-1] + 1] += np.bincount(of - of[0])


def _grams_of(texts: Sequence[str]) -> Iterator[tuple[Ints, Ints]]:
    """The grams of all texts and where they start if one line holds each; short texts are read together."""
    batch: list[str] = []
    begin, size = 0, 0
    for number, text in enumerate(texts, 1):
        batch.append(text)
        size += len(text) + 1
        if size >= CHUNK or number == len(texts):
            joined = "\n".join(batch)
            for low in range(0, len(joined), CHUNK):
                ids, place = _grams_from(joined, low)
                yield ids, place + begin
            batch, begin, size = [], begin + size, 0


def gram_overlap(hits: GramHits, unit_passage: Ints) -> GramOverlap:
    """How much of the query the units and passages hold; ``unit_passage`` (U,) is the passage of each unit."""
    unit = bm25(hits.unit, hits.gram, hits.unit_length, hits.rarity)
    near = np.zeros_like(unit)
    together = unit_passage[1:] == unit_passage[:-1]
    near[1:] += unit[:-1] * together
    near[:-1] += unit[1:] * together
    return GramOverlap(unit, bm25(hits.passage, hits.gram, hits.passage_length, hits.rarity), near)


def nearness(hits: GramHits, passage: int, span: Span, places: Ints) -> Floats:
    """How near (N,) ``places`` of a span of a passage are to the query's grams in it, 0 to 1 for the nearest.

    Every gram counts its rarity where it stands, and less and less up to ``REACH`` characters from there.
    """
    low, high = np.searchsorted(hits.passage, [passage, passage + 1])
    first, last = low + np.searchsorted(hits.place[low:high], [span.start, span.end])
    at, weight = hits.place[first:last], hits.rarity[hits.gram[first:last]]
    # Running sums, so that those over a range are two look-ups.
    count, moment = (np.concatenate([[0.0], np.cumsum(values)]) for values in (weight, weight * at))

    def within(start: Ints, end: Ints) -> tuple[Floats, Floats]:
        left, right = np.searchsorted(at, start, side="right"), np.searchsorted(at, end, side="right")
        return count[right] - count[left], moment[right] - moment[left]

    before, before_at = within(places - REACH, places)
    behind, behind_at = within(places, places + REACH)
    near = before + behind + (before_at - before * places + behind * places - behind_at) / REACH
    return np.asarray(near / max(float(near.max(initial=0.0)), 1e-6), dtype=np.float32)


def _grams_from(text: str, low: int) -> tuple[Ints, Ints]:
    """The grams that start in the ``CHUNK`` characters from ``low`` on, as in the text as a whole."""
    first = max(low - 1, 0)
    ids, place = grams(text[first : low + CHUNK + 2])
    place += first
    inside = (place >= low) & (place < low + CHUNK)
    return ids[inside], place[inside]


def grams(text: str) -> tuple[Ints, Ints]:
    """The grams of a text, each a number that means the same in every text, and where they start."""
    codes = np.frombuffer(_lower(text).encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.int64)
    kind = _kinds(codes)
    one, two = np.append(kind[1:], [_OTHER]), np.append(kind[2:], [_OTHER] * 2)[: len(kind)]
    pair = one == kind
    triple = pair & (two == kind) & (kind == _SPACED)
    begins = np.append(_OTHER, kind[:-1])[: len(kind)] != kind
    at = np.flatnonzero(np.where(kind == _SPACED, triple | begins, pair & (kind == _UNSPACED)))
    after = np.append(codes + 1, [0, 0])  # 0: the gram has ended
    longer = codes[at] + (after[at + 1] * pair[at] << _BITS) + (after[at + 2] * triple[at] << 2 * _BITS)
    single = np.flatnonzero(kind == _UNSPACED)
    places = np.concatenate([at, single])
    order = np.argsort(places, kind="stable")
    return np.concatenate([longer, codes[single]])[order], places[order]


def _lower(text: str) -> str:
    """In lower case, every character in its place: that of a few is longer, and they stay as they are."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def _kinds(codes: Ints) -> Ints:
    unique, inverse = np.unique(codes, return_inverse=True)
    kinds = np.array([_kind(chr(code)) for code in unique.tolist()], dtype=np.int64)
    return np.asarray(kinds[inverse])


@lru_cache(maxsize=65_536)
def _kind(character: str) -> int:
    if is_unspaced(character):
        return _UNSPACED
    return _SPACED if character.isalnum() or unicodedata.category(character)[0] == "M" else _OTHER
