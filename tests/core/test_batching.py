"""The batch worker: who shares a batch with whom, and whose errors, clocks and cancellations are whose."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
import time
import warnings
import weakref
from concurrent.futures import CancelledError, ThreadPoolExecutor

import pytest

from gist_core.batching import BatchWorker
from gist_core.errors import CompressionError, CompressionTimeoutError


class Doubler:
    """Doubles numbers, fails on negative ones, and can be held up; remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.threads: set[int] = set()
        self.go = threading.Event()
        self.go.set()
        self.started = threading.Event()

    def __call__(self, items: list[int]) -> list[int]:
        self.started.set()
        assert self.go.wait(10)
        self.batches.append(items)
        self.threads.add(threading.get_ident())
        if any(item < 0 for item in items):
            raise ValueError(f"negative: {min(items)}")
        return [2 * item for item in items]


@pytest.fixture
def doubler() -> Doubler:
    return Doubler()


def hold(doubler: Doubler, worker: BatchWorker[int, int]):
    """Holds the worker up with a first job, so that the next ones queue."""
    doubler.go.clear()
    first = worker.submit([100])
    assert doubler.started.wait(10)
    return first


def test_one_job_gets_its_results_in_order(doubler):
    worker = BatchWorker(doubler)
    assert worker.submit([3, 1, 2]).result(10) == [6, 2, 4]
    assert worker.submit([]).result(0) == []
    assert doubler.batches == [[3, 1, 2]]
    assert threading.get_ident() not in doubler.threads


def test_waiting_jobs_share_a_batch_up_to_max_items(doubler):
    worker = BatchWorker(doubler, max_items=4)
    hold(doubler, worker)
    futures = [worker.submit([n, n]) for n in range(3)] + [worker.submit(range(9))]
    doubler.go.set()
    assert [f.result(10) for f in futures] == [[0, 0], [2, 2], [4, 4], [2 * n for n in range(9)]]
    assert doubler.batches == [[100], [0, 0, 1, 1], [2, 2], list(range(9))]


def test_cost_bounds_a_batch(doubler):
    worker = BatchWorker(doubler, cost=float, max_cost=10)
    hold(doubler, worker)
    futures = [worker.submit([n]) for n in (6, 4, 1, 50)]
    doubler.go.set()
    assert [f.result(10) for f in futures] == [[12], [8], [2], [100]]
    assert doubler.batches == [[100], [6, 4], [1], [50]]


def test_an_error_reaches_only_the_job_that_causes_it(doubler):
    worker = BatchWorker(doubler)
    hold(doubler, worker)
    good, bad, also_good = worker.submit([1]), worker.submit([-1]), worker.submit([2])
    doubler.go.set()
    assert (good.result(10), also_good.result(10)) == ([2], [4])
    with pytest.raises(ValueError, match="negative: -1"):
        bad.result(10)
    assert worker.submit([5]).result(10) == [10]


def test_cancelled_jobs_never_run(doubler):
    worker = BatchWorker(doubler)
    hold(doubler, worker)
    cancelled, kept = worker.submit([1]), worker.submit([2])
    assert cancelled.cancel()
    doubler.go.set()
    assert kept.result(10) == [4]
    assert doubler.batches == [[100], [2]]
    with pytest.raises(CancelledError):
        cancelled.result(0)


def test_a_wrong_number_of_results_is_an_error():
    worker = BatchWorker(lambda items: items[1:])
    with pytest.raises(CompressionError, match="1 results for 2 items"):
        worker.submit([1, 2]).result(10)


def test_async_callers_on_several_loops_and_threads(doubler):
    worker = BatchWorker(doubler)

    async def many(start: int) -> list[list[int]]:
        return await asyncio.gather(*(worker.run_async([start + n]) for n in range(20)))

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda start: asyncio.run(many(start)), range(0, 400, 100)))
    assert answers == [[[2 * (start + n)] for n in range(20)] for start in range(0, 400, 100)]
    assert len(doubler.threads) == 1
    assert len(doubler.batches) < 80


def test_the_event_loop_runs_on_while_a_batch_runs(doubler):
    worker = BatchWorker(doubler)

    async def main() -> int:
        doubler.go.clear()
        call = asyncio.create_task(worker.run_async([1]))
        ticks = 0
        while not doubler.started.is_set():
            await asyncio.sleep(0.001)
            ticks += 1
        doubler.go.set()
        assert await call == [2]
        return ticks

    assert asyncio.run(main()) > 0


def test_timeout_and_cancellation_belong_to_their_caller(doubler):
    worker = BatchWorker(doubler)

    async def main() -> None:
        hold(doubler, worker)
        late = asyncio.create_task(worker.run_async([1], timeout=0.02))
        gone = asyncio.create_task(worker.run_async([2]))
        fine = asyncio.create_task(worker.run_async([3], timeout=10))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(CompressionTimeoutError, match=r"0\.02 s"):
            await late
        with pytest.raises(asyncio.CancelledError):
            await gone
        doubler.go.set()
        assert await fine == [6]

    asyncio.run(main())
    assert doubler.batches == [[100], [3]]


def test_a_timeout_error_of_the_model_is_not_ours():
    def run(items):
        raise TimeoutError("the model's own")

    with pytest.raises(TimeoutError, match="the model's own") as caught:
        asyncio.run(BatchWorker(run).run_async([1], timeout=10))
    assert not isinstance(caught.value, CompressionTimeoutError)


def test_idle_thread_ends_and_starts_again(doubler):
    worker = BatchWorker(doubler, idle_seconds=0.01)
    worker.submit([1]).result(10)
    deadline = time.monotonic() + 10
    while worker._thread is not None and time.monotonic() < deadline:
        time.sleep(0.005)
    assert worker._thread is None
    assert worker.submit([2]).result(10) == [4]


def test_a_forgotten_owner_is_freed():
    class Owner:
        def __init__(self) -> None:
            self.worker = BatchWorker(self.run, idle_seconds=0.01)

        def run(self, items):
            return items

    owner = Owner()
    owner.worker.submit([1]).result(10)
    gone = weakref.ref(owner)
    del owner
    deadline = time.monotonic() + 10
    while gone() is not None and time.monotonic() < deadline:
        time.sleep(0.01)
        gc.collect()
    assert gone() is None


def test_pickle_round_trip():
    worker = BatchWorker(sorted, max_items=3)
    worker.submit([1]).result(10)
    again = pickle.loads(pickle.dumps(worker))
    assert again.submit([2, 1]).result(10) == [1, 2]
    assert again._max_items == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_works_after_a_fork(doubler):
    worker = BatchWorker(doubler)
    hold(doubler, worker)  # the parent's thread is in the middle of a batch

    def child(queue) -> None:
        doubler.go = threading.Event()
        doubler.go.set()
        queue.put(worker.submit([7]).result(10))

    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=child, args=(queue,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads, which is the case to test
        process.start()
    process.join(20)
    doubler.go.set()
    assert process.exitcode == 0
    assert queue.get() == [14]


def test_the_thread_does_not_keep_the_interpreter_alive():
    code = """
import time
from gist_core.batching import BatchWorker
worker = BatchWorker(lambda items: time.sleep(60) or items)
worker.submit([1])
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30, env={**os.environ, "PYTHONPATH": "core"})


def test_a_thread_that_frees_its_model_is_waited_for_at_the_end():
    code = """
import time
from gist_core.batching import BatchWorker
class Model:
    def __del__(self):
        time.sleep(0.3)
        print("freed")
worker = BatchWorker(lambda items, model=Model(): items, idle_seconds=0.05)
worker.submit([1]).result()
del worker
time.sleep(0.1)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "freed\n"
