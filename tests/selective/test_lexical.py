from __future__ import annotations

import numpy as np

from gist_core.selective.lexical import overlap


def _overlap(query, units):
    ids = np.array([t for u in units for t in u], dtype=np.int64)
    unit = np.repeat(np.arange(len(units)), [len(u) for u in units])
    return overlap(np.array(query, dtype=np.int64), ids, unit, np.zeros_like(unit), len(units), 1)


def test_the_unit_with_the_rarer_query_word_scores_higher():
    found = _overlap([1, 2], [[1, 9, 8], [1, 7, 6], [2, 5, 4], [1, 3, 3]])
    assert found.unit[2] > found.unit[0] > 0


def test_values_lie_between_zero_and_one():
    rng = np.random.default_rng(0)
    for _ in range(50):
        units = [rng.integers(0, 12, size=rng.integers(1, 9)).tolist() for _ in range(rng.integers(1, 9))]
        found = _overlap(rng.integers(0, 12, size=rng.integers(1, 6)).tolist(), units)
        for values in (found.unit, found.window, found.pairs):
            assert (values >= 0).all()
            assert (values <= 1 + 1e-6).all()


def test_pairs_count_neighbours_within_a_unit_only():
    found = _overlap([1, 2], [[1, 2, 9], [2, 1, 9], [9, 9, 1], [2, 9, 9]])
    assert found.pairs.tolist() == [1.0, 0.0, 0.0, 0.0]


def test_no_query_and_no_text_score_nothing():
    assert _overlap([], [[1, 2], [3]]).unit.tolist() == [0.0, 0.0]
    assert _overlap([1], []).unit.tolist() == []


def test_a_token_of_an_empty_unit_is_nowhere():
    found = overlap(np.array([1]), np.array([1]), np.array([2]), np.array([0]), 3, 1)
    assert found.unit[2] > 0
    assert found.unit[:2].tolist() == [0.0, 0.0]
