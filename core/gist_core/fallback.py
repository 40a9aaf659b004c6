"""A compressor around another one: what a caller gets when the model fails or is too slow."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from gist_core.allocation import Unit, allocate
from gist_core.budget import Budget
from gist_core.compressor import TextCompressor, check_call, check_timeout
from gist_core.errors import (
    BudgetTooSmallError,
    CheckpointError,
    CompressionTimeoutError,
    DeviceError,
    InvalidInputError,
    MissingExtraError,
)
from gist_core.keep import KeepItem, resolve_keep
from gist_core.passage import Compressed, Passage, ScoredSpan, Span, Usage, hash_text, render
from gist_core.segment import segments, words
from gist_core.tokens import token_counter

OnError = Literal["truncate", "original", "raise"]

WRONG_SETTINGS = (CheckpointError, DeviceError, MissingExtraError)
"""Errors that show when weights load and that no later call would be spared: whoever set it up has to know."""

logger = logging.getLogger(__name__)
_counting = threading.Lock()


class GistWarning(UserWarning):
    """A call went on without the model; the message names the cause."""


def tell(log: logging.Logger, message: str, error: Exception, *, stacklevel: int = 2) -> None:
    """Logs a failure that a call went on from, and warns with GistWarning.

    Args:
        log: The caller's logger.
        message: What the call did instead, and the cause.
        error: The cause; its traceback is logged.
        stacklevel: As ``warnings.warn`` counts it for the caller of this function.
    """
    log.warning(message, exc_info=error)
    warnings.warn(message, GistWarning, stacklevel=stacklevel + 1)


@dataclass(slots=True)
class FallbackCompressor:
    """Gives a usable answer where ``inner`` fails at run time: its model, its memory, the clock; or where what has to
    stay does not fit.

    Errors of the caller (an unusable argument or budget, a device that is absent, a checkpoint that cannot be read, an
    extra that is not installed) are always raised, and so is cancellation. Every fallback warns with GistWarning, is
    logged, and counted in ``fallbacks``. Its results carry ``model="fallback-truncate"`` or ``"fallback-original"``
    and a score of 0.0.

    Args:
        inner: The compressor to call.
        on_error: ``"truncate"`` keeps the beginning, in the order of the passages and within the budget, by whole
            sentences where they fit, what has to stay before all else (a threshold means nothing without a model and
            is ignored); ``"original"`` gives the whole texts back, over the budget if need be; ``"raise"`` only
            applies the timeout.
        timeout: Seconds per call, None for no limit. ``compress`` then runs ``inner`` in a thread of its own, which
            Python cannot stop: after a timeout it works on to its end and its result is dropped.

    Raises:
        InvalidInputError: An unknown ``on_error`` or an impossible ``timeout``.
    """

    inner: TextCompressor
    on_error: OnError = "truncate"
    timeout: float | None = None
    fallbacks: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.on_error not in get_args(OnError):
            raise InvalidInputError(
                f"on_error is {self.on_error!r}.", hint=f"Choose one of {', '.join(map(repr, get_args(OnError)))}."
            )
        check_timeout(self.timeout)

    @property
    def model_id(self) -> str:
        """That of ``inner``."""
        return self.inner.model_id

    def compress(
        self,
        passages: Sequence[Passage],
        *,
        query: str | None = None,
        budget: Budget,
        keep: Sequence[KeepItem] = (),
        allow_empty: bool = False,
    ) -> list[Compressed]:
        """As ``TextCompressor.compress``; falls back as the class says."""
        check_call(passages, query, budget, keep)
        start = time.perf_counter()

        def call() -> list[Compressed]:
            return self.inner.compress(passages, query=query, budget=budget, keep=keep, allow_empty=allow_empty)

        try:
            return call() if self.timeout is None else _call_within(call, self.timeout)
        except Exception as error:
            self._note(error)
            return self._without_model(passages, budget, keep, start)

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
        """As ``TextCompressor.acompress``; falls back as the class says. ``timeout`` replaces the class's own."""
        check_call(passages, query, budget, keep)
        check_timeout(timeout)
        limit = self.timeout if timeout is None else timeout
        start = time.perf_counter()
        clock = asyncio.timeout(limit)
        try:
            async with clock:
                return await self.inner.acompress(
                    passages, query=query, budget=budget, keep=keep, allow_empty=allow_empty, timeout=limit
                )
        except Exception as error:
            self._note(_timed_out(limit, error) if clock.expired() else error)
            return await asyncio.to_thread(self._without_model, passages, budget, keep, start)

    def _note(self, error: Exception) -> None:
        """Counts and tells a failure at run time; raises every other."""
        if self.on_error == "raise" or isinstance(error, (InvalidInputError, *WRONG_SETTINGS)):
            raise error
        with _counting:
            self.fallbacks += 1
        message = f"Compressed without the model (on_error={self.on_error!r}): {type(error).__name__}: {error}"
        tell(logger, message, error, stacklevel=3)

    def _without_model(
        self, passages: Sequence[Passage], budget: Budget, keep: Sequence[KeepItem], start: float
    ) -> list[Compressed]:
        whole = self.on_error == "original"
        results = _originals(passages, budget) if whole else _truncated(passages, budget, keep)
        spent = 1000 * (time.perf_counter() - start)
        return [replace(result, usage=replace(result.usage, milliseconds=spent)) for result in results]


def truncate(
    passages: Sequence[Passage], budget: Budget, keep: Sequence[KeepItem] = (), *, strict: bool = True
) -> list[Compressed]:
    """Compresses by position alone: the earlier a sentence stands, over all passages in order, the sooner it is kept.

    Never over the budget; a threshold is ignored. ``score`` is 0.0 and ``units`` hold minus the position.

    Args:
        passages: What to compress.
        budget: How much may stay.
        keep: Patterns and spans that must stay.
        strict: False keeps as much of that as fits, before all else; its units then stand before all others.

    Raises:
        BudgetTooSmallError: ``keep`` does not fit, and ``strict``.
    """
    if budget.tokens is None and budget.ratio is None:
        return _originals(passages, budget)
    texts = [passage.text for passage in passages]
    starts = _starts(texts)
    resolved = resolve_keep(passages, keep)

    def score(index: int, span: Span) -> float:
        ahead = not strict and any(span.start < k.end and k.start < span.end for k in resolved[index])
        return float((starts[-1] + len(texts[-1]) + 1 if ahead else 0) - starts[index] - span.start)

    def finer(index: int, unit: Unit) -> list[Unit]:
        parts = words(texts[index], unit.span)
        return [Unit(part, score(index, part), unit.requires) for part in parts]

    units = [
        [Unit(s.span, score(index, s.span), s.requires, s.prose) for s in segments(text)]
        for index, text in enumerate(texts)
    ]
    counter = token_counter(budget.tokenizer)
    must = resolved if strict else [[] for _ in passages]
    plan = allocate(texts, units, replace(budget, threshold=None), counter, keep=must, finer=finer)
    rows = zip(passages, units, plan.kept, plan.tokens_in, plan.tokens_out, strict=True)
    return [
        Compressed(
            source_id=passage.id,
            text=render(passage.text, kept),
            kept=tuple(kept),
            score=0.0,
            usage=Usage(tokens_in, tokens_out),
            source_hash=hash_text(passage.text),
            model="fallback-truncate",
            units=tuple(ScoredSpan(*unit.span, unit.score) for unit in own),
        )
        for passage, own, kept, tokens_in, tokens_out in rows
    ]


def _truncated(passages: Sequence[Passage], budget: Budget, keep: Sequence[KeepItem]) -> list[Compressed]:
    try:
        return truncate(passages, budget, keep)
    except BudgetTooSmallError:
        return truncate(passages, budget, keep, strict=False)


def _starts(texts: Sequence[str]) -> list[int]:
    """Where each text would start if all stood one after the other."""
    starts, at = [], 0
    for text in texts:
        starts.append(at)
        at += len(text) + 1
    return starts


def _originals(passages: Sequence[Passage], budget: Budget) -> list[Compressed]:
    counts = token_counter(budget.tokenizer).count_many([passage.text for passage in passages])
    return [
        Compressed(
            source_id=passage.id,
            text=passage.text,
            kept=(Span(0, len(passage.text)),) if passage.text else (),
            score=0.0,
            usage=Usage(count, count),
            source_hash=hash_text(passage.text),
            model="fallback-original",
        )
        for passage, count in zip(passages, counts, strict=True)
    ]


def _call_within(call: Callable[[], list[Compressed]], timeout: float) -> list[Compressed]:
    """Runs ``call`` in a daemon thread, so that neither the caller nor the interpreter's exit waits for it."""
    future: Future[list[Compressed]] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # it is the caller's, not this thread's
            future.set_exception(error)

    threading.Thread(target=work, name="gist-timeout", daemon=True).start()
    try:
        return future.result(timeout)
    except TimeoutError as error:
        if future.done():  # the error of the call itself, or it ended this very moment
            return future.result()
        raise _timed_out(timeout, error) from error


def _timed_out(timeout: float | None, cause: BaseException) -> CompressionTimeoutError:
    error = CompressionTimeoutError(f"The call took longer than {timeout} s.", hint="Raise the timeout.")
    error.__cause__ = cause
    return error
