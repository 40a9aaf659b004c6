"""What archived turns say about a question: found by words, meaning and neighbours, chosen by the compressor."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gist_core.budget import Budget
from gist_core.compressor import TextCompressor
from gist_core.errors import InvalidBudgetError, InvalidInputError
from gist_core.memory.chunks import chunks
from gist_core.memory.gist import Gist, Piece
from gist_core.memory.pieces import choose, pieces_of, written
from gist_core.memory.scoring import logit, unit_logits
from gist_core.memory.turns import Turn
from gist_core.passage import Passage, ScoredSpan, hash_text
from gist_core.tokens import TokenCounter, token_counter

Floats = NDArray[np.float64]
LABEL = "[Recalled from earlier turns]"
_WORD = re.compile(r"\w+")
_CANDIDATES = 24_000  # characters the compressor reads; the best by words and meaning where there are more
_EMBEDDED = 50_000  # turns whose embeddings are remembered
_NEIGHBOURS, _WORDS, _MEANING = 1.0, 0.5, 0.5  # weights beside the model's own score (core/decisions/log.md)
_NEAR = np.array([0.25, 0.5, 1.0, 0.5, 0.25])  # a turn and its neighbours: an answer often stands beside its question


@runtime_checkable
class Embedder(Protocol):
    """A compressor that can also embed."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D), of unit length."""


@dataclass(frozen=True, slots=True)
class Recall:
    """What was found.

    Args:
        text: Labelled and quoted, as it may enter a prompt; empty if nothing was found or fits.
        pieces: What it holds, in the order of the conversation; each leads to its turn and spans.
        tokens: Of ``text``, in the budget's tokenizer.
    """

    text: str
    pieces: tuple[Piece, ...]
    tokens: int


class Recaller:
    """Searches turns: BM25 and, where the compressor embeds, cosines find candidates; the compressor reads those.

    A sentence's rank is the sum of standardised scores: the compressor's logit, the best logit of its turn and the
    turns around it, and half of the cosine and of BM25 of its turn.

    Args:
        compressor: Rates sentences for a question.
    """

    def __init__(self, compressor: TextCompressor) -> None:
        self._compressor = compressor
        self._lock = threading.Lock()
        self._vectors: OrderedDict[str, NDArray[np.float16]] = OrderedDict()

    def __call__(self, turns: Sequence[Turn], gists: Sequence[Gist], query: str, budget: Budget) -> Recall:
        """Searches ``turns``; what ``gists`` hold of them is left out.

        Raises:
            InvalidInputError: The query is empty, or the budget has neither ``tokens`` nor ``ratio``.
            GistError: The compressor failed.
        """
        if not isinstance(query, str) or not query.strip():
            raise InvalidInputError(f"query is {query!r}.", hint="Ask something.")
        if budget.tokens is None and budget.ratio is None:
            raise InvalidBudgetError("The budget has no size.", hint="Give tokens= or ratio=.")
        counter = token_counter(budget.tokenizer)
        pieces = [piece for turn in turns for piece in pieces_of(turn, turn.id)]
        limit = budget.limit(sum(counter.count_many([p.text for p in pieces]))) if budget.ratio else budget.tokens or 0
        rated = _less(self._rate(pieces, query), gists)
        return _fitting(rated, limit, counter)

    def _rate(self, pieces: Sequence[Piece], query: str) -> list[Piece]:
        """The candidates among the pieces, with units rated for the query; of a long piece its best chunks."""
        if not pieces:
            return []
        places = [(at, chunk) for at, piece in enumerate(pieces) for chunk in chunks(piece.text)]
        said = [pieces[at].text[chunk.start : chunk.end] for at, chunk in places]
        texts = [f"{pieces[at].label}: {text}" for (at, _), text in zip(places, said, strict=True)]
        words = _bm25(query, texts)
        meaning = self._cosines(query, texts)
        near = [_z(meaning), 0.5 * _z(words)] if meaning is not None else [_z(words)]
        coarse = np.sum([part + _around(part) for part in near], axis=0)
        chosen = _first(coarse, [len(text) for text in texts], _CANDIDATES)
        rated = unit_logits(self._compressor, [Passage(pieces[places[i][0]].turn, said[i]) for i in chosen], query)
        best = np.array([max((unit.score for unit in own), default=logit(0.0)) for own in rated])
        flat = np.array([unit.score for own in rated for unit in own] or [0.0])
        scale = float(flat.std()) + 1e-3
        prior = _WORDS * _z(words[chosen])
        if meaning is not None:
            prior += _MEANING * _z(meaning[chosen])
        prior += _NEIGHBOURS * _z(_around(best))
        found: dict[int, list[ScoredSpan]] = {}
        for i, own, more in zip(chosen, rated, prior.tolist(), strict=True):
            at, (start, _) = places[i]
            moved = (ScoredSpan(start + u.start, start + u.end, more + u.score / scale) for u in own)
            found.setdefault(at, []).extend(moved)
        return [replace(pieces[at], units=_units(pieces[at], units)) for at, units in found.items()]

    def _cosines(self, query: str, texts: Sequence[str]) -> Floats | None:
        if not isinstance(self._compressor, Embedder):
            return None
        vectors = self._embedded(self._compressor, texts).astype(np.float32)
        return np.asarray(vectors @ self._compressor.embed([query])[0], dtype=np.float64)

    def _embedded(self, embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float16]:
        """(N, D); texts seen before are not embedded again."""
        keys = [hash_text(text) for text in texts]
        with self._lock:
            new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._vectors}
            if new:
                self._vectors.update(zip(new, embedder.embed(list(new.values())).astype(np.float16), strict=True))
            found = np.stack([self._vectors[key] for key in keys])
            while len(self._vectors) > _EMBEDDED:
                self._vectors.popitem(last=False)
        return found


def _bm25(query: str, texts: Sequence[str]) -> Floats:
    from rank_bm25 import BM25Okapi

    split = [_WORD.findall(text.lower()) or ["\0"] for text in texts]
    return np.asarray(BM25Okapi(split).get_scores(_WORD.findall(query.lower())), dtype=np.float64)


def _z(values: Floats) -> Floats:
    return np.asarray((values - values.mean()) / (values.std() + 1e-6))


def _around(values: Floats) -> Floats:
    """The weighted mean of each value and its neighbours."""
    return np.convolve(np.pad(values, 2, mode="edge"), _NEAR / _NEAR.sum(), "valid")


def _first(scores: Floats, sizes: Sequence[int], most: int) -> NDArray[np.int64]:
    """The places of the best scores, in order of place, each that still fits into ``most`` together; at least one."""
    order = np.argsort(-scores, kind="stable").tolist()
    chosen, left = order[:1], most - sizes[order[0]]
    for at in order[1:]:
        if sizes[at] <= left:
            chosen.append(at)
            left -= sizes[at]
    return np.sort(np.array(chosen))


def _units(piece: Piece, rated: Sequence[ScoredSpan]) -> tuple[ScoredSpan, ...]:
    if piece.spans is None:
        return (ScoredSpan(0, len(piece.text), max((unit.score for unit in rated), default=0.0)),)
    return tuple(rated)


def _less(pieces: Sequence[Piece], gists: Sequence[Gist]) -> list[Piece]:
    """The pieces without the units that the gists in the view hold."""
    held: dict[str, list[tuple[int, int]]] = {}
    for gist in gists:
        for piece in gist.pieces if gist.text else ():
            held.setdefault(piece.turn, []).extend(piece.spans or ())
    left = []
    for piece in pieces:
        spans = held.get(piece.turn, ()) if piece.spans is not None else ()
        units = tuple(u for u in piece.units if not any(s <= u.start and u.end <= e for s, e in spans))
        if units:
            left.append(replace(piece, units=units))
    return left


def _fitting(pieces: Sequence[Piece], limit: int, counter: TokenCounter) -> Recall:
    room = limit - counter.count(LABEL) - 1
    while room > 0:
        chosen = choose(pieces, room, counter)
        if not chosen:
            break
        text = f"{LABEL}\n{written(chosen)}"
        tokens = counter.count(text)
        if tokens <= limit:
            return Recall(text, tuple(chosen), tokens)
        room -= tokens - limit
    return Recall("", (), 0)
