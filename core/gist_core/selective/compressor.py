"""The selective compressor: score every unit in one pass, then choose under the budget over all passages together."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gist_core.allocation import Allocation, Finer, Unit, allocate
from gist_core.budget import Budget
from gist_core.checkpoint import Manifest
from gist_core.compressor import check_call, check_timeout
from gist_core.errors import CompressionTimeoutError
from gist_core.keep import KeepItem, resolve_keep
from gist_core.lazy import Lazy
from gist_core.metadata import title_of
from gist_core.passage import Compressed, Passage, ScoredSpan, Span, Usage, hash_text, render
from gist_core.segment import Kind, words
from gist_core.selective.repeats import once
from gist_core.tokens import token_counter

if TYPE_CHECKING:
    from gist_core.selective.engine import Engine
    from gist_core.selective.fusion import Calibration, Rating
    from gist_core.selective.scorer import WindowScores
    from gist_core.selective.signals import Floats, Prepared


@dataclass(frozen=True, slots=True)
class _Call:
    """A checked call: its arguments, its keep spans, and when it began."""

    passages: Sequence[Passage]
    query: str | None
    budget: Budget
    keep: list[list[Span]]
    allow_empty: bool
    began: float


class SelectiveCompressor:
    """Keeps the sentences that matter for the query, in the source's own words.

    Implements ``TextCompressor``. Weights load at the first call. Safe to share between threads and event
    loops: the windows of concurrent callers are scored together. Pickles as its settings.

    Args:
        manifest: What the checkpoint says of itself.
        folder: Gives the checkpoint's folder when the weights are first needed (a hub id is fetched then).
        device: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:<number>"``.
    """

    def __init__(self, manifest: Manifest, folder: Callable[[], Path], device: str = "auto") -> None:
        self._manifest = manifest
        self._engine = Lazy(partial(_start, folder, device))

    @property
    def model_id(self) -> str:
        """Name and version of the checkpoint."""
        return self._manifest.model_id

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
        call = _check(passages, query, budget, keep, allow_empty=allow_empty)
        prepared = self._prepare(call)
        return self._finish(call, prepared, self._engine().worker.submit(prepared.items).result())

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
        """As ``TextCompressor.acompress``."""
        check_timeout(timeout)
        clock = asyncio.timeout(timeout)
        try:
            async with clock:
                call = await asyncio.to_thread(_check, passages, query, budget, keep, allow_empty=allow_empty)
                prepared = await asyncio.to_thread(self._prepare, call)
                scores = await self._engine().worker.run_async(prepared.items)
                return await asyncio.to_thread(self._finish, call, prepared, scores)
        except TimeoutError as error:
            if not clock.expired():
                raise
            raise CompressionTimeoutError(
                f"The call took longer than {timeout} s.", hint="Raise the timeout or pass less text."
            ) from error

    def _prepare(self, call: _Call) -> Prepared:
        from gist_core.selective.signals import prepare

        engine = self._engine()
        texts, titles = [p.text for p in call.passages], [title_of(p.metadata) for p in call.passages]
        tokenizer, config = engine.parts.tokenizer, engine.parts.model.config
        return prepare(texts, call.query, tokenizer, config, titles, engine.foreign_tokenizer)

    def _finish(self, call: _Call, prepared: Prepared, scores: Sequence[WindowScores]) -> list[Compressed]:
        units, keep = self._rate(call.passages, prepared, scores)
        caution = self._engine().parts.ratings[prepared.mode].caution
        return _results(call, units, self._choose(call, prepared, units, keep), self.model_id, caution)

    def allocations(
        self, passages: Sequence[Passage], query: str | None, budgets: Sequence[Budget]
    ) -> list[Allocation]:
        """Score once and choose under several budgets, for evaluation and for finding a budget."""
        calls = [_check(passages, query, budget, (), allow_empty=False) for budget in budgets]
        if not calls:
            return []
        prepared = self._prepare(calls[0])
        units, keep = self._rate(passages, prepared, self._engine().worker.submit(prepared.items).result())
        return [self._choose(call, prepared, units, keep) for call in calls]

    def embed(self, texts: Sequence[str]) -> Floats:
        """(N, H) sentence embeddings of unit length, of the first window of each text; H is the encoder's width."""
        import numpy as np

        from gist_core.selective.signals import framed

        engine = self._engine()
        parts = engine.parts
        rows = framed(texts, parts.tokenizer, parts.model.config.window_tokens)
        width = parts.model.config.hidden_size
        return np.stack(engine.embedder.submit(rows).result()) if rows else np.zeros((0, width), np.float32)

    def _rate(
        self, passages: Sequence[Passage], prepared: Prepared, scores: Sequence[WindowScores]
    ) -> tuple[list[list[Unit]], Floats]:
        from gist_core.selective.antecedents import with_antecedents
        from gist_core.selective.bridges import with_bridges
        from gist_core.selective.signals import signals

        parts, found = self._engine().parts, signals(prepared, scores)
        logits = parts.ratings[prepared.mode](found.units)
        if prepared.mode == "query":
            logits = _with_rows(prepared, logits, found.units, parts.ratings["rows"])
            if parts.model.config.granularity == "sentence":
                texts, titles = [p.text for p in passages], [title_of(p.metadata) for p in passages]
                logits = with_bridges(texts, titles, prepared.segments, logits)
                logits = with_antecedents(texts, prepared.segments, logits)
        return _units(prepared, logits), found.keep

    def _choose(self, call: _Call, prepared: Prepared, units: list[list[Unit]], keep: Floats) -> Allocation:
        texts, rating = [p.text for p in call.passages], self._engine().parts.ratings[prepared.mode]
        return allocate(
            texts,
            once(texts, units) if call.budget.scope == "total" else units,
            _in_logits(call.budget, rating.caution),
            token_counter(call.budget.tokenizer),
            keep=call.keep,
            allow_empty=call.allow_empty,
            finer=_finer(call.passages, prepared, keep),
            length_exponent=rating.exponent,
        )


def _start(folder: Callable[[], Path], device: str) -> Engine:
    from gist_core.selective.engine import load_parts, start_engine

    return start_engine(load_parts(folder()), device)


def _check(
    passages: Sequence[Passage], query: str | None, budget: Budget, keep: Sequence[KeepItem], *, allow_empty: bool
) -> _Call:
    began = time.perf_counter()
    check_call(passages, query, budget, keep)
    return _Call(passages, query, budget, resolve_keep(passages, keep), allow_empty, began)


def _in_logits(budget: Budget, caution: Calibration) -> Budget:
    """Callers give a threshold as a probability, units are ranked by logits, where a length can be weighed in."""
    if budget.threshold is None:
        return budget
    low, high = 1e-9, 1 - 1e-9
    if not low <= budget.threshold <= high:  # all is above, or nothing
        return replace(budget, threshold=math.copysign(1e9, budget.threshold - 0.5))
    return replace(budget, threshold=caution.inverse(math.log(budget.threshold / (1 - budget.threshold))))


def _probability(logit: float) -> float:
    return 1 / (1 + math.exp(-max(min(logit, 30.0), -30.0)))


def _with_rows(prepared: Prepared, logits: Floats, signals: Floats, rating: Rating) -> Floats:
    """The logits, rows of tables by their own rating: a row is found by its words, where a sentence is read."""
    import numpy as np

    is_row = np.array([s.kind is Kind.TABLE_ROW for found in prepared.segments for s in found], dtype=np.bool_)
    if not is_row.any():
        return logits
    changed = logits.copy()
    changed[is_row] = rating(signals[is_row])
    return changed


def _units(prepared: Prepared, logits: Floats) -> list[list[Unit]]:
    """The segments with their scores, less those that only come along with others: headings, heads of tables."""
    values = iter(logits.tolist())
    scored = [[Unit(s.span, next(values), s.requires, s.prose) for s in found] for found in prepared.segments]
    required = [{span for s in found for span in s.requires} for found in prepared.segments]
    return [[u for u in units if u.span not in with_] for units, with_ in zip(scored, required, strict=True)]


def _finer(passages: Sequence[Passage], prepared: Prepared, keep: Floats) -> Finer:
    """The parts of a unit: its own score plus what the token logits say of each part against the whole.

    They come without their heading: where not even a sentence fits, it would leave room for nothing else. In a language
    that the network can only spell, it matters more how near to the question's words they stand.
    """
    from gist_core.selective.signals import span_logits, span_nearness

    def finer(index: int, unit: Unit) -> list[Unit]:
        spans = words(passages[index].text, unit.span)
        if not spans:
            return []
        pooled = span_logits(prepared, keep, index, [unit.span, *spans])
        more = pooled[1:] - pooled[0] + span_nearness(prepared, index, unit.span, spans)
        return [Unit(span, unit.score + part) for span, part in zip(spans, more.tolist(), strict=True)]

    return finer


def _results(
    call: _Call, units: list[list[Unit]], plan: Allocation, model_id: str, caution: Calibration
) -> list[Compressed]:
    spent = 1000 * (time.perf_counter() - call.began)
    rows = zip(call.passages, units, plan.kept, plan.tokens_in, plan.tokens_out, strict=True)
    return [
        Compressed(
            source_id=passage.id,
            text=render(passage.text, kept),
            kept=tuple(kept),
            score=max((_probability(caution(u.score)) for u in own), default=0.0),
            usage=Usage(tokens_in, tokens_out, spent),
            source_hash=hash_text(passage.text),
            model=model_id,
            units=tuple(ScoredSpan(*u.span, _probability(caution(u.score))) for u in own),
        )
        for passage, own, kept, tokens_in, tokens_out in rows
    ]
