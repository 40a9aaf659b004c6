"""A real compressor small enough for tests: scores are shares of the query's words, no model."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Sequence
from typing import Any

from gist_core.allocation import Unit, allocate
from gist_core.batching import BatchWorker
from gist_core.budget import Budget
from gist_core.compressor import check_call
from gist_core.errors import CompressionError
from gist_core.keep import KeepItem, resolve_keep
from gist_core.passage import Compressed, Passage, ScoredSpan, Usage, hash_text, render
from gist_core.segment import segments
from gist_core.tokens import token_counter

FAIL = "<<fail>>"  # a passage with this text fails, and with it the batch it stands in
SLOW = "<<slow>>"  # a query with this text takes half a second


def count_words(text: str) -> int:
    """A tokenizer that is a function."""
    return len(text.split())


class LexicalCompressor:
    """Keeps the sentences that share most words with the query; scores come from a batch worker like a model's."""

    model_id = "lexical-1"

    def __init__(self) -> None:
        self.calls = 0
        self.batches: list[int] = []
        self._worker = BatchWorker(self._score, max_items=16)

    def compress(
        self,
        passages: Sequence[Passage],
        *,
        query: str | None = None,
        budget: Budget,
        keep: Sequence[KeepItem] = (),
        allow_empty: bool = False,
    ) -> list[Compressed]:
        check_call(passages, query, budget, keep)
        self.calls += 1
        scores = self._worker.submit([(query, passage.text) for passage in passages]).result()
        return self._select(passages, scores, budget, keep, allow_empty)

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
        check_call(passages, query, budget, keep)
        self.calls += 1
        scores = await self._worker.run_async([(query, passage.text) for passage in passages], timeout=timeout)
        return await asyncio.to_thread(self._select, passages, scores, budget, keep, allow_empty)

    def _score(self, items: list[tuple[str | None, str]], *, pause: bool = True) -> list[list[float]]:
        self.batches.append(len(items))
        if pause:
            time.sleep(0.5 if any(SLOW in (query or "") for query, _ in items) else 0.002)
        if any(FAIL in text for _, text in items):
            raise CompressionError("The model met a text it cannot read.")
        return [[_overlap(query, text[slice(*s.span)]) for s in segments(text)] for query, text in items]

    def _select(self, passages, scores, budget, keep, allow_empty) -> list[Compressed]:
        texts = [passage.text for passage in passages]
        units = [
            [Unit(segment.span, score, segment.requires) for segment, score in zip(segments(text), row, strict=True)]
            for text, row in zip(texts, scores, strict=True)
        ]
        counter = token_counter(budget.tokenizer)
        plan = allocate(texts, units, budget, counter, keep=resolve_keep(passages, keep), allow_empty=allow_empty)
        return [
            Compressed(
                source_id=passage.id,
                text=render(passage.text, kept),
                kept=tuple(kept),
                score=max((unit.score for unit in row), default=0.0),
                usage=Usage(tokens_in, tokens_out, 1.0),
                source_hash=hash_text(passage.text),
                model=self.model_id,
                units=tuple(ScoredSpan(*unit.span, unit.score) for unit in row),
            )
            for passage, row, kept, tokens_in, tokens_out in zip(
                passages, units, plan.kept, plan.tokens_in, plan.tokens_out, strict=True
            )
        ]


class Broken:
    """Fails in the way it is told to; as a factory's stand-in for a model that cannot run."""

    model_id = "broken-1"

    def __init__(self, error: BaseException | None = None, seconds: float = 0.0) -> None:
        self.error, self.seconds = error, seconds
        self.release = threading.Event()

    def compress(self, passages: Sequence[Passage], **_: Any) -> list[Compressed]:
        self.release.wait(self.seconds)
        if self.error:
            raise self.error
        return []

    async def acompress(self, passages: Sequence[Passage], **_: Any) -> list[Compressed]:
        await asyncio.sleep(self.seconds)
        if self.error:
            raise self.error
        return []


def _overlap(query: str | None, sentence: str) -> float:
    asked = set(re.findall(r"\w+", (query or "").lower()))
    found = asked & set(re.findall(r"\w+", sentence.lower()))
    return len(found) / len(asked) if asked else 1 / (1 + len(sentence))
