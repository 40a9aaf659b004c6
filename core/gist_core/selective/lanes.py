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
from concurrent.futures import wait
from typing import TypeVar

import torch

from gist_core.batching import BatchWorker

Item = TypeVar("Item")
Result = TypeVar("Result")
_Work = Callable[[], None]


class Lanes:
    """``count`` threads for the parts of a call; they start when there is work and end when there is none for a while.

    Example:
        >>> Lanes(2).map(lambda number: 2 * number, [1, 2, 3])
        [2, 4, 6]
    """

    def __init__(self, count: int) -> None:
        self._workers: list[BatchWorker[_Work, None]] = [BatchWorker(_on_one_core, max_items=1) for _ in range(count)]

    def __len__(self) -> int:
        return len(self._workers)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """The results in the order of the items; a lane that is done takes the next item.

        A single lane is the caller's own thread. After an error no further item is begun, and the error is raised when
        those under way have ended.
        """
        if len(self) == 1:
            return [function(item) for item in items]
        waiting, results = deque(enumerate(items)), dict[int, Result]()

        def work() -> None:
            while True:
                try:
                    place, item = waiting.popleft()
                except IndexError:
                    return
                try:
                    results[place] = function(item)
                except BaseException:
                    waiting.clear()
                    raise

        lanes = [worker.submit([work]) for worker in self._workers[: len(items)]]
        wait(lanes)
        for lane in lanes:
            lane.result()
        return [results[place] for place in range(len(items))]


class _OneCore:
    """Lets torch compute in a lane's thread alone, and leaves all other threads as they are.

    Torch keeps the number of threads twice: for the thread that sets it, and for threads that come later. The second is
    given back by a thread that sets it and ends.
    """

    def __init__(self) -> None:
        self.reset()

    def __call__(self) -> None:
        if hasattr(self._ready, "done"):
            return
        with self._setting:
            usual = torch.get_num_threads()  # first: torch prepares a thread once, and would undo what was set before
            torch.set_num_threads(1)
            later = threading.Thread(target=torch.set_num_threads, args=(usual,))
            later.start()
            later.join()
        self._ready.done = True

    def reset(self) -> None:
        """Makes the lock anew, for a forked child."""
        self._setting, self._ready = threading.Lock(), threading.local()


_use_one_core = _OneCore()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_use_one_core.reset)


def _on_one_core(works: list[_Work]) -> list[None]:
    _use_one_core()
    return [work() for work in works]
