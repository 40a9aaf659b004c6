"""Threads that compute side by side, each on one core.

Torch divides every operation among a team of OpenMP threads. The tensors here are small, so most of a team's time goes
into waiting for one another: by spinning where each thread has a core, and by falling asleep after every operation
where another team is about, as a caller's own embedder has one. Threads that share nothing but a queue do not wait.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Generic, TypeVar

import torch

from gist_core.batching import BatchWorker, refuse_at_exit

Item = TypeVar("Item")
Result = TypeVar("Result")
MOST = 16  # each holds some 24 MiB of activations
IDLE_SECONDS = 60.0
_Step = Callable[[], None]


class Lanes:
    """``count`` threads for the parts of calls; they start when there is work and end when there is none for a while.

    Calls take turns, part by part, so that a short one does not wait for the end of a long one.

    Example:
        >>> Lanes(2).map(lambda number: 2 * number, [1, 2, 3])
        [2, 4, 6]
    """

    def __init__(self, count: int) -> None:
        self._workers: list[BatchWorker[_Step, None]] = [
            BatchWorker(_on_one_core, max_items=1, idle_seconds=IDLE_SECONDS) for _ in range(count)
        ]

    def __len__(self) -> int:
        return len(self._workers)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """The results in the order of the items; a lane that is done takes the next item.

        A single lane is the caller's own thread. After an error no further item is begun, and the error is raised when
        those under way have ended.

        Raises:
            CompressionError: The interpreter ends.
        """
        call = _Call(function, items)
        if len(self) == 1:
            call.run()
        else:
            call.spread(self._workers)
        return call.results()


class _Call(Generic[Item, Result]):
    """One call of ``map``."""

    def __init__(self, function: Callable[[Item], Result], items: Sequence[Item]) -> None:
        self._function = function
        self._waiting = deque(enumerate(items))
        self._lock = threading.Lock()
        self._found: dict[int, Result] = {}
        self._error: BaseException | None = None
        self._left = len(items)  # to be done, under way or waiting
        self._ended = threading.Event()

    def run(self) -> None:
        """Do everything here."""
        while self._next():
            pass

    def spread(self, workers: Sequence[BatchWorker[_Step, None]]) -> None:
        """Let the workers do it, as many as can start a thread; if none can, do it here."""
        begun = 0
        for worker in workers[: self._left]:
            try:
                worker.submit([partial(self._step, worker)])
            except RuntimeError:  # the system gives no more threads
                break
            begun += 1
        if begun:
            self._ended.wait()
        else:
            self.run()

    def results(self) -> list[Result]:
        """In the order of the items, or the first error."""
        if self._error is not None:
            raise self._error
        return [self._found[place] for place in range(len(self._found))]

    def _step(self, worker: BatchWorker[_Step, None]) -> None:
        if self._next():
            worker.submit([partial(self._step, worker)])  # behind the other calls that wait

    def _next(self) -> bool:
        """Do one item; whether any is left to begin."""
        with self._lock:
            if not self._waiting:
                return False
            place, item = self._waiting.popleft()
        try:
            refuse_at_exit()
            self._end(place, self._function(item))
        except BaseException as error:  # whatever it is, it belongs to the caller
            self._fail(error)
        return bool(self._waiting)

    def _end(self, place: int, result: Result) -> None:
        with self._lock:
            self._found[place] = result
            self._count(1)

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._error = self._error or error
            self._count(1 + len(self._waiting))
            self._waiting.clear()

    def _count(self, done: int) -> None:
        self._left -= done
        if not self._left:
            self._ended.set()


class _OneCore:
    """Lets torch compute in a lane's thread alone, and leaves other threads as they are.

    Torch keeps the number of threads twice: for the thread that sets it, and for threads that come later. The second is
    given back by a thread that sets it and ends. A thread that first computes in just that moment keeps to one core.
    """

    def __init__(self) -> None:
        self._changed: int | None = None
        self.reset()

    def __call__(self) -> None:
        if hasattr(self._ready, "done"):
            return
        with self._setting:
            usual = torch.get_num_threads()  # first: torch prepares a thread once, and would undo what was set before
            torch.set_num_threads(usual)  # torch makes another pool of threads at the first time, for good
            changed = threading.Event()

            def give_back() -> None:
                changed.wait()
                torch.set_num_threads(usual)

            giver = threading.Thread(target=give_back, daemon=True)
            giver.start()  # before anything is changed: it may fail
            self._changed = usual
            torch.set_num_threads(1)
            changed.set()
            giver.join()
            self._changed = None
        self._ready.done = True

    def usual(self) -> int:
        """The number of threads that torch gives to a new one, ``MOST`` at most."""
        found: list[int] = []
        with self._setting:
            thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()), daemon=True)
            thread.start()
            thread.join()
        return min(found[0], MOST)

    def reset(self) -> None:
        """Makes the lock anew, for a forked child, and gives back what the parent was about to."""
        self._setting, self._ready = threading.Lock(), threading.local()
        if self._changed is not None:
            torch.set_num_threads(self._changed)
            self._changed = None


_use_one_core = _OneCore()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_use_one_core.reset)


def a_lane_a_core() -> Lanes:
    """As many lanes as torch would use threads."""
    return Lanes(_use_one_core.usual())


def _on_one_core(steps: list[_Step]) -> list[None]:
    with suppress(RuntimeError):  # the system gives no more threads: torch divides the work then, as it would
        _use_one_core()
    return [step() for step in steps]
