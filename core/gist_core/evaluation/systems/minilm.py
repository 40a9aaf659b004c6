"""Cosines of all-MiniLM-L6-v2, the encoder that most users of a similarity filter run."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np

from gist_core.evaluation.embedding import shared_encoder
from gist_core.evaluation.systems.units import Floats, Ints, UnitCompressor


def sentences() -> UnitCompressor:
    """Cosine of question and unit, one ranking over all passages."""
    return UnitCompressor("minilm sentences", minilm().sentence)


def sentences_and_passages() -> UnitCompressor:
    """The sum of two cosines: question and unit, question and passage."""
    return UnitCompressor("minilm sentences + passages", minilm().sentence_and_passage)


@cache
def minilm() -> MiniLM:
    """The one that all systems share."""
    return MiniLM()


class MiniLM:
    """Scores by cosines; loads at the first text, and raises MissingExtraError where it is not installed."""

    def __init__(self) -> None:
        self.embed = shared_encoder().embed
        self._one = lru_cache(maxsize=4)(lambda query: self.embed([query])[0])

    def sentence(self, query: str, units: Sequence[str], texts: Sequence[str], owner: Ints) -> Floats:
        """Cosine of query and unit, one ranking over all passages (what SentenceEmbeddingOptimizer ranks by)."""
        return np.asarray(self.embed(units) @ self._one(query))

    def sentence_and_passage(self, query: str, units: Sequence[str], texts: Sequence[str], owner: Ints) -> Floats:
        """Cosine of query and unit plus cosine of query and passage, both as z-scores over the call's units."""
        passage = (self.embed(texts) @ self._one(query))[owner]
        return z_scores(self.sentence(query, units, texts, owner)) + z_scores(np.asarray(passage))


def z_scores(values: Floats) -> Floats:
    """Values less their mean, over their deviation."""
    return np.asarray((values - values.mean()) / (values.std() + 1e-9)) if len(values) else values
