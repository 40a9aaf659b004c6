"""Lanes and what they are given: order, errors, forks, torch's threads left alone, batches that cost alike."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gist_core.batching import BatchWorker
from gist_core.selective import lanes as lanes_module
from gist_core.selective.batches import balanced_batches, padded_batches
from gist_core.selective.lanes import MOST, Lanes, _OneCore, _use_one_core, a_lane_a_core
from gist_core.selective.network import PackedNetwork
from gist_core.selective.scorer import Scorer, WindowItem
from tests.helpers.tiny import tiny_model

LENGTHS = st.lists(st.integers(1, 300), max_size=60)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_results_stand_in_the_order_of_the_items(count):
    lanes = Lanes(count)
    assert lanes.map(lambda number: 2 * number, range(20)) == list(range(0, 40, 2))
    assert lanes.map(lambda number: 2 * number, []) == []


def test_lanes_work_at_the_same_time():
    meeting = threading.Barrier(3, timeout=30)
    arrived = Lanes(3).map(lambda _: (meeting.wait(), threading.get_ident())[1], range(3))
    assert len(set(arrived)) == 3
    assert threading.get_ident() not in arrived


def test_a_single_lane_is_the_callers_thread():
    assert Lanes(1).map(lambda _: threading.get_ident(), [0, 1]) == [threading.get_ident()] * 2


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_ends_the_call_and_not_the_lanes(count):
    lanes, begun = Lanes(count), []

    def work(number):
        begun.append(number)
        raise ValueError(str(number))

    with pytest.raises(ValueError, match=r"^[01]$"):
        lanes.map(work, range(100))
    assert len(begun) <= count
    assert lanes.map(str, [1, 2, 3]) == ["1", "2", "3"]


def test_a_short_call_does_not_wait_for_the_end_of_a_long_one():
    lanes, done = Lanes(2), []
    begun = threading.Event()

    def work(number):
        begun.set()
        time.sleep(0.02)
        done.append(number)

    long = threading.Thread(target=lanes.map, args=(work, range(100)))
    long.start()
    begun.wait(30)
    assert lanes.map(str, [7]) == ["7"]
    assert len(done) < 50
    long.join(30)
    assert sorted(done) == list(range(100))


@pytest.mark.parametrize("started", [0, 1])
def test_fewer_threads_than_lanes_do_the_same(monkeypatch, started):
    lanes, submit, asked = Lanes(3), BatchWorker.submit, []

    def refused(worker, steps):
        asked.append(worker)
        if worker not in lanes._workers[:started]:
            raise RuntimeError("can't start new thread")
        return submit(worker, steps)

    monkeypatch.setattr(BatchWorker, "submit", refused)
    assert lanes.map(lambda number: 2 * number, range(5)) == [0, 2, 4, 6, 8]
    assert len(set(asked)) == started + 1


def test_a_lane_that_cannot_be_made_ready_works_all_the_same(monkeypatch):
    def refused():
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(lanes_module, "_use_one_core", refused)
    assert Lanes(2).map(str, [1, 2, 3]) == ["1", "2", "3"]


EXIT = """
import threading
import time
import torch
from gist_core.selective.lanes import Lanes

matrix, begun = torch.randn(300, 300), threading.Event()

def work(_):
    begun.set()
    for _ in range(40):
        torch.mm(matrix, matrix).exp()

threading.Thread(target=lambda: Lanes(2).map(work, range(100_000)), daemon=True).start()
begun.wait(30)
time.sleep(0.2)
"""


def test_the_interpreter_ends_in_the_middle_of_a_call():
    done = subprocess.run([sys.executable, "-c", EXIT], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr  # it would abort, if a thread was stopped while it computes


def new_thread_has() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


def test_nothing_is_changed_where_no_thread_could_give_it_back(monkeypatch):
    before, start = new_thread_has(), threading.Thread.start

    def refused(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(RuntimeError, match="can't start"):
        _OneCore()()
    monkeypatch.setattr(threading.Thread, "start", start)
    assert new_thread_has() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_gets_back_what_its_parent_was_about_to(monkeypatch):
    monkeypatch.setattr(_use_one_core, "_changed", 3)
    child = multiprocessing.get_context("fork").Process(target=lambda: sys.exit(new_thread_has()))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child.start()
    child.join(30)
    assert child.exitcode == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_lanes_work_in_a_forked_child():
    lanes = Lanes(2)
    assert lanes.map(str, [1, 2]) == ["1", "2"]  # its threads stay with the parent
    child = multiprocessing.get_context("fork").Process(target=lanes.map, args=(str, [1, 2]))
    with warnings.catch_warnings(), _use_one_core._setting:  # as if a lane was just being made ready
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads, which is the case to test
        child.start()
    child.join(30)
    assert child.exitcode == 0


THREADS = """
import threading
import torch
from gist_core.selective.lanes import Lanes

torch.set_num_threads(3)
meeting = threading.Barrier(3, timeout=30)
inside = Lanes(3).map(lambda _: (meeting.wait(), torch.get_num_threads())[1], range(3))
later = []
thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
thread.start()
thread.join()
print(inside, later, torch.get_num_threads())
"""


def test_a_lane_has_one_core_and_other_threads_keep_theirs():
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[0] == "[1, 1, 1] [3] 3"


@pytest.mark.parametrize(("threads", "lanes"), [(1, 1), (3, 3), (64, MOST)])
def test_there_are_as_many_lanes_as_torch_has_threads(monkeypatch, threads, lanes):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert len(a_lane_a_core()) == lanes


def test_windows_score_the_same_in_any_number_of_lanes():
    network, rng = PackedNetwork(tiny_model()), np.random.default_rng(0)
    items = [
        WindowItem((2, 9 + number % 3, 3), rng.integers(5, 50, size=length), np.zeros(length, dtype=np.int64))
        for number, length in enumerate([8, 8, 20, 31, 5, 40])
    ]
    rows = [item.ids for item in items]
    found = {}
    for count in (1, 2, 4):
        network.lanes, network.batch_tokens = Lanes(count), 48
        scorer = Scorer(network)
        found[count] = scorer(items), scorer.embed(rows)
    for scores, embeddings in (found[2], found[4]):
        for one, other in zip(found[1][0], scores, strict=True):
            assert np.allclose(one.keep, other.keep, atol=1e-5)
            assert one.relevance == pytest.approx(other.relevance, abs=1e-5)
            assert np.allclose(one.piece_cosine, other.piece_cosine, atol=1e-5)
        assert np.allclose(found[1][1], embeddings, atol=1e-5)
    assert not torch.is_inference_mode_enabled()


@given(LENGTHS, st.integers(1, 600), st.integers(1, 8))
def test_balanced_batches_hold_every_row_once_and_cost_alike(lengths, most, lanes):
    batches = balanced_batches(lengths, most, lanes)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(batches)
    costs = [sum(lengths[row] for row in batch) for batch in batches]
    rounds = -(-sum(lengths) // (lanes * most))
    limit = sum(lengths) / max(1, rounds * lanes) + max(lengths, default=0)
    assert max(costs, default=0) <= limit
    assert limit <= most + max(lengths, default=0)


@pytest.mark.parametrize(
    ("lengths", "lanes", "batches"),
    [
        ([239, 225], 2, [[1], [0]]),
        ([136] * 20, 2, [list(range(5)), list(range(5, 10)), list(range(10, 15)), list(range(15, 20))]),
        ([7], 4, [[0]]),
        ([10, 10, 400], 2, [[0, 1], [2]]),
    ],
)
def test_balanced_batches_occupy_the_lanes(lengths, lanes, batches):
    assert balanced_batches(lengths, 704, lanes) == batches


@given(LENGTHS, st.integers(1, 600))
def test_padded_batches_hold_every_row_once_and_no_more_than_fits(lengths, most):
    batches = padded_batches(lengths, most)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(len(b) == 1 or max(lengths[row] for row in b) * len(b) <= most for b in batches)


def test_short_windows_below_a_long_question_are_not_taken_for_cheap():
    network = PackedNetwork(tiny_model())
    network.lanes = Lanes(2)
    windows = [15] * 44 + [230] * 3
    few, many = (network.batches(windows, [length] * len(windows))[0] for length in (2, 90))
    assert len(few) > len(many) > 15  # the first batch has short windows alone
