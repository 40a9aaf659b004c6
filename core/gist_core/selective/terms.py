"""What the overlap of query and text is counted in: word pieces, or words where the vocabulary can only spell.

The vocabulary is an English one. It has the letters of other languages, or of their scripts not even those, so that
pieces there say little of which words stand where. In such calls the beginnings of words count, which leaves most of
inflection out; in scripts without spaces pairs of characters do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from gist_core.passage import Span
from gist_core.selective.windows import Windows
from gist_core.words import term_places

Ints = NDArray[np.int64]
NO_UNIT = -1
STEM = 5  # characters of a word that count; a number counts as it is
TITLE = 1_000  # characters of a title that are read with every window


@dataclass(frozen=True, slots=True)
class Terms:
    """The M terms of all texts of a call: ``ids``, ``unit`` and ``window`` (M,), numbered over all texts.

    Behind them stand those of each window's title, whose unit is ``NO_UNIT``.
    """

    ids: Ints
    unit: Ints
    window: Ints


def pieces(cut: Windows) -> Terms:
    """Every word piece as a term."""
    return _titled(Terms(cut.tokens.ids, cut.tokens.unit, _windows(cut)), cut, cut.titles.ids)


def words(texts: Sequence[str], units: Sequence[Sequence[Span]], cut: Windows) -> Terms:
    """The beginning of every word as a term; ``units`` and ``cut`` say how the texts were cut up.

    A text without a token has no terms.
    """
    tokens, window = cut.tokens, _windows(cut)
    edges = np.searchsorted(tokens.passage, np.arange(len(texts) + 1)).tolist()
    columns, first = [(np.zeros(0, np.int64),) * 3], 0
    for text, spans, low, high in zip(texts, units, edges[:-1], edges[1:], strict=True):
        if low < high:
            ids, place = _words(text)
            unit = _at_or_before(np.array([span.start for span in spans]), place)
            token = _at_or_before(tokens.start[low:high], place)
            columns.append((ids, unit + first, window[low:high][token]))
        first += len(spans)
    found = Terms(*(np.concatenate(c) for c in zip(*columns, strict=True)))
    return _titled(found, cut, [word_ids(title[:TITLE]) for title in cut.titles.texts])


def word_ids(text: str) -> Ints:
    """The ids of the terms of a text, which mean the same in every text."""
    return _words(text)[0]


def _words(text: str) -> tuple[Ints, Ints]:
    found = list(term_places(text))
    ids = [crc32(_stem(term).encode("utf-8", "surrogatepass")) for _, term in found]
    return np.array(ids, dtype=np.int64), np.array([at for at, _ in found], dtype=np.int64)


def _stem(term: str) -> str:
    return term if any(map(str.isdigit, term)) else term[:STEM]


def _titled(found: Terms, cut: Windows, titles: Sequence[Sequence[int] | Ints]) -> Terms:
    if len(titles) == 1:
        return found
    ids = [np.asarray(titles[cut.title(row)], dtype=np.int64) for row in range(len(cut))]
    window = np.repeat(np.arange(len(cut)), [len(i) for i in ids])
    return Terms(
        np.concatenate([found.ids, *ids]),
        np.concatenate([found.unit, np.full(len(window), NO_UNIT)]),
        np.concatenate([found.window, window]),
    )


def _windows(cut: Windows) -> Ints:
    return np.repeat(np.arange(len(cut)), np.diff(cut.bounds))


def _at_or_before(starts: Ints, place: Ints) -> Ints:
    return np.maximum(np.searchsorted(starts, place, side="right") - 1, 0)
