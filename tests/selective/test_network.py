"""The network as it runs on a CPU: integers, packed windows, and what the scorer remembers."""

from __future__ import annotations

import ctypes
import gc
import platform
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gist_core.selective import int8
from gist_core.selective import scorer as scorer_module
from gist_core.selective.heap import trim_memory
from gist_core.selective.int8 import Int8Linear, fast_linear, int8_works
from gist_core.selective.lanes import Lanes
from gist_core.selective.network import PackedNetwork, PaddedNetwork
from gist_core.selective.scorer import Scorer, WindowItem
from tests.helpers.tiny import tiny_model

needs_int8 = pytest.mark.skipif(not int8_works(), reason="this processor has no integer kernel")


def _windows(lengths: list[int]) -> list[np.ndarray]:
    return [np.random.default_rng(n).integers(5, 60, size=n) for n in lengths]


@needs_int8
def test_integers_come_near_the_float_result_and_are_exact_at_the_limits():
    torch.manual_seed(0)
    weight, bias, x = torch.randn(48, 64), torch.randn(48), torch.randn(20, 64)
    exact = x @ weight.T + bias
    assert (Int8Linear(weight, bias)(x) - exact).norm() < 0.03 * exact.norm()
    rows = torch.full((2, 64), 127.0)
    assert torch.equal(
        Int8Linear(torch.full((3, 64), -64.0), torch.zeros(3))(rows), torch.full((2, 3), -127.0 * 64 * 64)
    )


@needs_int8
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 40), st.floats(1e-6, 1e6))
def test_a_row_does_not_depend_on_the_others(seed, count, size):
    torch.manual_seed(seed)
    linear = Int8Linear(torch.randn(16, 32), torch.randn(16))
    x = torch.randn(count, 32) * size
    together = linear(torch.cat([x, 1e3 * torch.randn(3, 32)]))
    assert all(torch.equal(together[i : i + 1], linear(x[i : i + 1])) for i in range(count))


@needs_int8
def test_a_row_of_zeros_gives_the_bias():
    bias = torch.tensor([1.0, -2.0])
    assert torch.equal(Int8Linear(torch.randn(2, 8), bias)(torch.zeros(1, 8)), bias[None])


def test_without_the_kernel_it_is_computed_in_float(monkeypatch):
    monkeypatch.setattr(int8, "int8_works", lambda: False)
    weight, bias, x = torch.randn(4, 8), torch.randn(4), torch.randn(3, 8)
    assert torch.allclose(fast_linear(weight, bias)(x), x @ weight.T + bias, atol=1e-6)


@pytest.mark.parametrize("known", [[False] * 4, [False, True, True, False], [True] * 4])
def test_packed_and_padded_windows_give_the_same(monkeypatch, known):
    monkeypatch.setattr(int8, "int8_works", lambda: False)
    model, windows = tiny_model(), _windows([12, 12, 5, 30])
    packed, padded = PackedNetwork(model), PaddedNetwork(model)
    with torch.inference_mode():
        queries = [[packed.query(ids), padded.query(ids)] for ids in ([2, 9, 3], [2, 9, 3], [2, 7, 8, 11, 3], [2, 3])]
        one = packed.score([q[0] for q in queries], windows, known)
        other = padded.score([q[1] for q in queries], windows, known)
    for name in ("keep", "relevance", "embeddings"):
        assert torch.allclose(getattr(one, name), getattr(other, name), atol=1e-5), name
    assert len(one.embeddings) == sum(len(w) for w, is_known in zip(windows, known, strict=True) if not is_known)


@pytest.mark.parametrize("integers", [False, pytest.param(True, marks=needs_int8)])
def test_layers_that_work_in_place_leave_what_they_read(monkeypatch, integers):
    monkeypatch.setattr(int8, "int8_works", lambda: integers)
    network, windows = PackedNetwork(tiny_model()), _windows([12, 5])
    with torch.inference_mode():
        queries = [network.query([2, 9, 3])] * 2
        shared = network._encode(windows)
        remembered = [queries[0].hidden, queries[0].embedding, shared]
        before = [tensor.clone() for tensor in remembered]
        first = network.score(queries, windows, [False, False])
        kept = first.keep.clone()
        layer = network._embedding[0]
        assert torch.equal(layer(shared, [12, 5]), layer(shared, [12, 5]))
        assert torch.equal(network.score(queries, windows, [False, False]).keep, kept)
    assert torch.equal(first.keep, kept)
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(remembered, before, strict=True))


class _Counting(PackedNetwork):
    def __init__(self) -> None:
        super().__init__(tiny_model())
        self.seen = self.embedded = 0

    def score(self, queries, windows, known):
        self.seen += len(windows)
        self.embedded += known.count(False)
        return super().score(queries, windows, known)


def test_a_window_is_scored_once_for_a_query():
    network = _Counting()
    scorer = Scorer(network)
    items = [WindowItem((2, 9, 3), ids, np.zeros(len(ids), dtype=np.int64)) for ids in _windows([8, 8, 20])]
    first, again = scorer(items), scorer(items[::-1])
    assert network.seen == 2  # two of the three are the same
    assert np.array_equal(first[2].keep, again[0].keep)
    scorer([WindowItem((2, 10, 3), i.ids, i.piece) for i in items])
    assert network.seen == 4


def _asked(windows, *query):
    return [WindowItem((2, *query, 3), ids, np.arange(len(ids)) // 4 - 1) for ids in windows]


@pytest.mark.parametrize("integers", [False, pytest.param(True, marks=needs_int8)])
def test_a_window_that_comes_again_with_another_query_is_embedded_no_second_time(monkeypatch, integers):
    monkeypatch.setattr(int8, "int8_works", lambda: integers)
    network, windows = _Counting(), _windows([8, 21, 20])
    scorer = Scorer(network)
    scorer(_asked(windows[:2], 9))
    again = scorer(_asked(windows, 10, 11))
    assert (network.seen, network.embedded) == (5, 3)
    for found, fresh in zip(again, Scorer(PackedNetwork(tiny_model()))(_asked(windows, 10, 11)), strict=True):
        for name in ("keep", "relevance", "piece_cosine", "window_cosine", "central"):
            assert np.allclose(getattr(found, name), getattr(fresh, name), atol=1e-6), name
    scorer([WindowItem((2, 9, 3), windows[0], np.zeros(8, dtype=np.int64))])
    assert network.embedded == 4  # the same text in other pieces


def test_readings_are_remembered_by_their_size_and_a_larger_call_leaves_them_alone(monkeypatch):
    monkeypatch.setattr(scorer_module, "CACHED_DIRECTIONS", 13)
    network, windows = _Counting(), _windows([9, 33, 17])  # of 3, 9 and 5 directions
    scorer = Scorer(network)

    def embedded(numbers, query):
        before = network.embedded
        scorer(_asked([windows[n] for n in numbers], query))
        return network.embedded - before

    assert embedded([0, 1], 9) == 2
    assert embedded([0, 1, 2], 10) == 1  # 17 directions: none is remembered
    assert embedded([0, 1], 11) == 0
    assert embedded([2], 12) == 1  # the first two have no room beside it
    assert [embedded([n], 13 + n) for n in (2, 0, 1)] == [0, 1, 1]


def test_freed_memory_is_given_back_every_so_many_tokens(monkeypatch):
    network, trims = PackedNetwork(tiny_model()), []
    monkeypatch.setattr(scorer_module, "trim_memory", lambda: trims.append(1))
    monkeypatch.setattr(scorer_module, "TRIM_TOKENS", 100)
    network.batch_tokens, network.lanes = 40, Lanes(1)
    scorer = Scorer(network)
    windows = _windows([30, 31, 32, 33, 34, 35, 36])
    scorer([WindowItem((2, 9, 3), ids, np.zeros(len(ids), dtype=np.int64)) for ids in windows[:3]])
    assert len(trims) == 0
    scorer([WindowItem((2, 9, 3), ids, np.zeros(len(ids), dtype=np.int64)) for ids in windows[3:]])
    assert len(trims) == 2  # after 30 + 31 + 32 + 33 and after 34 + 35 + 36
    scorer.embed(windows)
    assert len(trims) == 4


@pytest.mark.skipif(sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_memory_behind_a_block_that_stays_goes_back_to_the_system():
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096

    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_size_t],
        [ctypes.c_void_p],
    )
    blocks = [libc.malloc(100_000) for _ in range(1_000)]  # below the size that gets pages of its own
    for block in blocks:
        ctypes.memset(block, 1, 100_000)
    last = blocks.pop()
    for block in blocks:
        libc.free(block)
    before = resident()
    trim_memory()
    assert resident() < before - 50_000_000
    libc.free(last)


def test_a_packed_network_does_not_keep_the_layers_it_was_made_of():
    model = tiny_model()
    layer = weakref.ref(model.shared[0])
    network = PackedNetwork(model)
    del model
    gc.collect()
    assert layer() is None
    with torch.no_grad():
        assert len(network.query([2, 7, 3]).hidden[0]) == 3
