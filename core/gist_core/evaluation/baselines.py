"""What the model is measured against: unit scores by other means, chosen under the same budget by the same code."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gist_core.allocation import Allocation, Unit, allocate
from gist_core.budget import Budget
from gist_core.cases import Case
from gist_core.segment import finer_spans, segments
from gist_core.tokens import token_counter

Floats = NDArray[np.float64]
Scores = Callable[[str, Sequence[str], Sequence[str], NDArray[np.int64]], Floats]
_WORD = re.compile(r"\w+")


def select(case: Case, budgets: Sequence[Budget], score: Scores) -> list[Allocation]:
    """Score the units of a case once and choose under each budget.

    Args:
        case: The question.
        budgets: The budgets.
        score: (query, unit texts, passage texts, passage of each unit) -> one score a unit.
    """
    texts = [p.text for p in case.passages]
    found = [segments(t) for t in texts]
    units = [t[s.span.start : s.span.end] for t, f in zip(texts, found, strict=True) for s in f]
    owner = np.repeat(np.arange(len(texts)), [len(f) for f in found])
    values = iter(score(case.query, units, texts, owner).tolist())
    scored = [[Unit(s.span, next(values), s.requires) for s in f] for f in found]

    def finer(index: int, unit: Unit) -> list[Unit]:
        return [Unit(s, unit.score, unit.requires) for s in finer_spans(texts[index], unit.span)]

    counter = token_counter(budgets[0].tokenizer)
    return [allocate(texts, scored, b, counter, finer=finer) for b in budgets]


def head(query: str, units: Sequence[str], texts: Sequence[str], owner: NDArray[np.int64]) -> Floats:
    """The beginning of every passage: a unit scores by the share of its passage that stands before it."""
    sizes = np.array([len(u) for u in units], dtype=np.float64)
    before = np.cumsum(sizes) - sizes
    first = np.searchsorted(owner, owner)
    length = np.bincount(owner, weights=sizes, minlength=len(texts))
    return -(before - before[first]) / np.maximum(length[owner], 1.0) if len(units) else np.zeros(0)


def bm25(query: str, units: Sequence[str], texts: Sequence[str], owner: NDArray[np.int64]) -> Floats:
    """BM25 of the query's words over all units (package rank-bm25)."""
    from rank_bm25 import BM25Okapi

    split = [_WORD.findall(u.lower()) or ["\0"] for u in units]
    return np.asarray(BM25Okapi(split).get_scores(_WORD.findall(query.lower())) if split else np.zeros(0))


class MiniLM:
    """all-MiniLM-L6-v2 through sentence-transformers; embeddings of texts seen before are remembered."""

    def __init__(self, encoder: str) -> None:
        from sentence_transformers import SentenceTransformer

        self._model: Any = SentenceTransformer(encoder, device="cpu")
        self._known: dict[str, Floats] = {}
        self._one = lru_cache(maxsize=4)(self._query)

    def sentence(self, query: str, units: Sequence[str], texts: Sequence[str], owner: NDArray[np.int64]) -> Floats:
        """Cosine of query and unit, one ranking over all passages (what SentenceEmbeddingOptimizer ranks by)."""
        return np.asarray(self.embed(units) @ self._one(query))

    def sentence_and_passage(
        self, query: str, units: Sequence[str], texts: Sequence[str], owner: NDArray[np.int64]
    ) -> Floats:
        """Cosine of query and unit plus cosine of query and passage, both as z-scores over the call's units."""
        passage = (self.embed(texts) @ self._one(query))[owner]
        return z_scores(self.sentence(query, units, texts, owner)) + z_scores(np.asarray(passage))

    def _query(self, query: str) -> Floats:
        return np.asarray(self._model.encode([query], normalize_embeddings=True)[0])

    def embed(self, texts: Sequence[str]) -> Floats:
        """(N, 384) embeddings of unit length."""
        new = list(dict.fromkeys(t for t in texts if t not in self._known))
        if new:
            vectors = self._model.encode(new, batch_size=64, normalize_embeddings=True, show_progress_bar=False)
            self._known.update(zip(new, vectors, strict=True))
        return np.stack([self._known[t] for t in texts]) if texts else np.zeros((0, 384))


def z_scores(values: Floats) -> Floats:
    """Values less their mean, over their deviation."""
    return np.asarray((values - values.mean()) / (values.std() + 1e-9)) if len(values) else values
