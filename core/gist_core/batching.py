"""One thread that gathers the jobs of concurrent callers into batches for a model.

While a batch runs, new jobs wait; the next batch takes as many of them as fit. A caller alone waits for nobody.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, NamedTuple, TypeVar

from gist_core.errors import CompressionError, CompressionTimeoutError

Item = TypeVar("Item")
Result = TypeVar("Result")
IDLE_SECONDS = 5.0
LAST_SECONDS = 1.0  # that the end of the interpreter waits for a thread under way
_NAME = "gist-batch"


class _Job(NamedTuple):
    items: list[Any]
    cost: float
    future: Future[list[Any]]


class BatchWorker(Generic[Item, Result]):
    """Runs lists of items through ``run`` in one daemon thread, the jobs of concurrent callers together.

    The thread starts with the first job, ends after ``idle_seconds`` without one (so that a forgotten worker and its
    model can be freed) and keeps the interpreter alive for a second at the most. It starts anew after a fork and after
    unpickling; jobs under way stay with the process that submitted them. A batch that fails is run again job by job, so
    that an error reaches only the caller whose items cause it.

    Args:
        run: Items in, as many results out, in the same order. Only ever called in the worker's thread.
        max_items: Most items in a batch. A larger job runs alone and undivided.
        cost: Cost of one item, for instance its padded tokens; with ``max_cost`` it bounds a batch as well.
        max_cost: Most cost in a batch.
        idle_seconds: How long the thread waits for the next job.

    Example:
        >>> worker = BatchWorker(lambda items: [2 * item for item in items], max_items=8)
        >>> worker.submit([1, 2]).result()
        [2, 4]
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Result]],
        *,
        max_items: int = 64,
        cost: Callable[[Item], float] | None = None,
        max_cost: float = float("inf"),
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._run = run
        self._max_items = max_items
        self._cost = cost
        self._max_cost = max_cost
        self._idle_seconds = idle_seconds
        self._thread: threading.Thread | None
        self._reset()

    def submit(self, items: Sequence[Item]) -> Future[list[Result]]:
        """Queues a job. Its future holds the results in the order of the items, or the job's own error.

        A future that is cancelled before its batch starts costs nothing.
        """
        future: Future[list[Result]] = Future()
        if not items:
            future.set_result([])
            return future
        job = _Job(list(items), sum(map(self._cost, items)) if self._cost else 0.0, future)
        with self._wake:
            if self._thread is None:
                thread = threading.Thread(target=self._serve, name=_NAME, daemon=True)
                thread.start()
                self._thread = thread
            self._jobs.append(job)
            self._wake.notify()
        return future

    async def run_async(self, items: Sequence[Item], *, timeout: float | None = None) -> list[Result]:
        """As ``submit``, awaited without blocking the event loop; works from any number of loops.

        Raises:
            CompressionTimeoutError: ``timeout`` seconds passed; the job is dropped if it has not started.
        """
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                return await asyncio.wrap_future(self.submit(items))
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise CompressionTimeoutError(
                f"The call took longer than {timeout} s.", hint="Raise the timeout or pass less text."
            ) from error

    def _reset(self) -> None:
        self._wake = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._thread = None
        _workers.add(self)

    def _serve(self) -> None:
        while batch := self._next_batch():
            self._run_batch(batch)
            del batch  # an idle thread holds nobody's texts

    def _next_batch(self) -> list[_Job]:
        """The jobs at the head of the queue that fit together; none when the thread is to end."""
        with self._wake:
            while self._wake.wait_for(lambda: self._jobs or _ending.is_set(), self._idle_seconds) and self._jobs:
                if batch := self._take():
                    return batch
            self._thread = None
            return []

    def _take(self) -> list[_Job]:
        batch: list[_Job] = []
        items, cost = 0, 0.0
        while self._jobs:
            job = self._jobs[0]
            items, cost = items + len(job.items), cost + job.cost
            if batch and (items > self._max_items or cost > self._max_cost):
                break
            self._jobs.popleft()
            if job.future.set_running_or_notify_cancel():
                batch.append(job)
            else:
                items, cost = items - len(job.items), cost - job.cost
        return batch

    def _run_batch(self, batch: list[_Job]) -> None:
        try:
            results = self._results([item for job in batch for item in job.items])
        except BaseException as error:  # whatever it is, it belongs to a caller, not to this thread
            if len(batch) == 1:
                batch[0].future.set_exception(error)
            else:
                for job in batch:
                    self._run_batch([job])
            return
        start = 0
        for job in batch:
            end = start + len(job.items)
            job.future.set_result(results[start:end])
            start = end

    def _results(self, items: list[Item]) -> list[Result]:
        results = list(self._run(items))
        if len(results) != len(items):
            raise CompressionError(
                f"The model gave {len(results)} results for {len(items)} items.", hint="Report this as a bug."
            )
        return results

    def __getstate__(self) -> dict[str, Any]:
        fresh = {"_wake", "_jobs", "_thread"}
        return {name: value for name, value in self.__dict__.items() if name not in fresh}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()


_workers: weakref.WeakSet[BatchWorker[Any, Any]] = weakref.WeakSet()
_ending = threading.Event()


def refuse_at_exit() -> None:
    """Asked between the parts of a long batch, so that it ends while its thread is still waited for.

    Raises:
        CompressionError: The interpreter ends.
    """
    if _ending.is_set():
        raise CompressionError("The interpreter ends.", hint="Wait for the results before the program ends.")


def _end_threads() -> None:
    """Let idle threads end before the interpreter does: stopped while it frees tensors, one would abort the process."""
    _ending.set()
    for worker in list(_workers):
        with worker._wake:
            worker._wake.notify_all()
    until = time.monotonic() + LAST_SECONDS
    for thread in threading.enumerate():
        if thread.name == _NAME:
            thread.join(max(0.0, until - time.monotonic()))


atexit.register(_end_threads)


def _reset_after_fork() -> None:
    """A child has neither the parent's thread nor a promise that its locks are free."""
    for worker in list(_workers):
        worker._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
