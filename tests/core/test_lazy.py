"""What is made when it is first needed: once, whoever asks, and anew after a failure."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest

from gist_core.lazy import Lazy


def test_threads_that_ask_at_once_get_the_same():
    made = []

    def make():
        time.sleep(0.02)
        made.append(object())
        return made[-1]

    lazy, ready = Lazy(make), threading.Barrier(4)

    def ask(_):
        ready.wait()
        return lazy()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))
    assert len(made) == 1
    assert all(each is made[0] for each in found)


def test_nothing_is_made_before_it_is_asked_for():
    made = []
    lazy = Lazy(lambda: made.append(1))
    assert made == []
    lazy()
    lazy()
    assert made == [1]  # None is a thing made too


def test_a_failure_is_raised_and_not_remembered():
    answers = iter([OSError("no disk"), None])

    def make():
        if problem := next(answers):
            raise problem
        return "made"

    lazy = Lazy(make)
    with pytest.raises(OSError, match="no disk"):
        lazy()
    assert lazy() == "made"


def test_pickles_without_what_was_made():
    lazy = Lazy(list)
    lazy().append("not to travel")
    assert pickle.loads(pickle.dumps(lazy))() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_does_not_wait_for_a_thread_of_its_parent():
    making, go = threading.Event(), threading.Event()

    def make():
        making.set()
        if threading.current_thread() is not threading.main_thread():
            go.wait(20)
        return os.getpid()

    lazy = Lazy(make)
    thread = threading.Thread(target=lazy, daemon=True)
    thread.start()
    making.wait(10)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=lambda: queue.put(lazy()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads, which is the case to test
        process.start()
    process.join(20)
    process.kill()
    go.set()
    thread.join(10)
    assert process.exitcode == 0
    assert queue.get() == process.pid
    assert lazy() == os.getpid()
