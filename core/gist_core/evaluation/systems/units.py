"""Compressors made of a way to score units: cut, chosen and rendered by the very code that the default model uses."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from gist_core.allocation import Allocation, Unit, allocate
from gist_core.budget import Budget
from gist_core.compressor import check_call, check_timeout
from gist_core.errors import CompressionTimeoutError
from gist_core.keep import KeepItem, resolve_keep
from gist_core.metadata import title_of
from gist_core.passage import Compressed, Passage, ScoredSpan, Usage, hash_text, render
from gist_core.segment import Segment, segments, words
from gist_core.tokens import token_counter

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Scores = Callable[[str, Sequence[str], Sequence[str], Ints], Floats]
"""(query, unit texts, passage texts below their titles, passage of each unit) -> one score a unit; no query is ""."""


class ThreadedCompressor(ABC):
    """A ``TextCompressor`` whose ``acompress`` runs its ``compress`` in a thread."""

    @property
    @abstractmethod
    def model_id(self) -> str:
        """What results carry as ``model``."""

    @abstractmethod
    def compress(
        self,
        passages: Sequence[Passage],
        *,
        query: str | None = None,
        budget: Budget,
        keep: Sequence[KeepItem] = (),
        allow_empty: bool = False,
    ) -> list[Compressed]:
        """As ``TextCompressor.compress``."""

    async def acompress(
        self,
        passages: Sequence[Passage],
        *,
        query: str | None = None,
        budget: Budget,
        keep: Sequence[KeepItem] = (),
        allow_empty: bool = False,
        timeout: float | None = None,
    ) -> list[Compressed]:
        """As ``TextCompressor.acompress``; after a timeout the thread works on to its end."""
        check_timeout(timeout)
        clock = asyncio.timeout(timeout)
        try:
            async with clock:
                return await asyncio.to_thread(
                    self.compress, passages, query=query, budget=budget, keep=keep, allow_empty=allow_empty
                )
        except TimeoutError as error:
            if not clock.expired():
                raise
            raise CompressionTimeoutError(
                f"The call took longer than {timeout} s.", hint="Raise the timeout or pass less text."
            ) from error


class UnitCompressor(ThreadedCompressor):
    """Keeps the units with the best scores, in one ranking over all passages.

    The scores of the last call are remembered: the same question at another budget costs no second scoring.

    Args:
        name: What results carry as ``model``.
        score: Rates the units of a call.
    """

    def __init__(self, name: str, score: Scores) -> None:
        self._name = name
        self._rated = lru_cache(maxsize=1)(self._rate)
        self._score = score

    @property
    def model_id(self) -> str:
        """Its name."""
        return self._name

    def compress(
        self,
        passages: Sequence[Passage],
        *,
        query: str | None = None,
        budget: Budget,
        keep: Sequence[KeepItem] = (),
        allow_empty: bool = False,
    ) -> list[Compressed]:
        """As ``TextCompressor.compress``; a threshold is compared with the scores as they are."""
        began = time.perf_counter()
        check_call(passages, query, budget, keep)
        texts = tuple(p.text for p in passages)
        units = self._rated(query or "", texts, tuple(title_of(p.metadata) for p in passages))

        def finer(index: int, unit: Unit) -> list[Unit]:
            return [Unit(span, unit.score, unit.requires) for span in words(texts[index], unit.span)]

        plan = allocate(
            texts,
            units,
            budget,
            token_counter(budget.tokenizer),
            keep=resolve_keep(passages, keep),
            allow_empty=allow_empty,
            finer=finer,
        )
        return self._results(passages, units, plan, 1000 * (time.perf_counter() - began))

    def _rate(self, query: str, texts: tuple[str, ...], titles: tuple[str, ...]) -> list[list[Unit]]:
        found = _cut(texts)
        units = [t[s.span.start : s.span.end] for t, some in zip(texts, found, strict=True) for s in some]
        owner = np.repeat(np.arange(len(texts)), np.array([len(some) for some in found], dtype=np.int64))
        told = [f"{title}\n{text}" if title else text for title, text in zip(titles, texts, strict=True)]
        values = iter(self._score(query, units, told, owner).tolist() if units else ())
        return [[Unit(s.span, next(values), s.requires, s.prose) for s in some] for some in found]

    def _results(
        self, passages: Sequence[Passage], units: Sequence[Sequence[Unit]], plan: Allocation, spent: float
    ) -> list[Compressed]:
        rows = zip(passages, units, plan.kept, plan.tokens_in, plan.tokens_out, strict=True)
        return [
            Compressed(
                source_id=passage.id,
                text=render(passage.text, kept),
                kept=tuple(kept),
                score=max((unit.score for unit in own), default=0.0),
                usage=Usage(tokens_in, tokens_out, spent),
                source_hash=hash_text(passage.text),
                model=self._name,
                units=tuple(ScoredSpan(*unit.span, unit.score) for unit in own),
            )
            for passage, own, kept, tokens_in, tokens_out in rows
        ]


@lru_cache(maxsize=2)
def _cut(texts: tuple[str, ...]) -> list[list[Segment]]:
    """The segments of each text: all systems are asked about the same passages one after the other."""
    return [segments(text) for text in texts]
