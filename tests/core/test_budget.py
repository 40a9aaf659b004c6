"""The budget's checks and its limit."""

import dataclasses
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gist_core.budget import Budget
from gist_core.errors import GistError, InvalidBudgetError, TokenizerError


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"tokens": 3, "ratio": 0.5},
        {"tokens": -1},
        {"tokens": True},
        {"tokens": 2.0},
        {"ratio": 0},
        {"ratio": 1.01},
        {"ratio": -0.5},
        {"ratio": math.nan},
        {"ratio": "0.5"},
        {"ratio": True},
        {"threshold": math.inf},
        {"threshold": math.nan},
        {"threshold": "high"},
        {"tokens": 5, "scope": "all"},
        {"tokens": 5, "separator": None},
    ],
)
def test_wrong_arguments_are_refused_with_a_hint(wrong):
    with pytest.raises(InvalidBudgetError) as caught:
        Budget(**wrong)
    assert caught.value.hint


@pytest.mark.parametrize("tokenizer", ["no-such-model", 7, None])
def test_an_unknown_tokenizer_is_refused_at_once(tokenizer):
    with pytest.raises(TokenizerError) as caught:
        Budget(tokens=5, tokenizer=tokenizer)
    assert isinstance(caught.value, GistError)
    assert caught.value.hint


@pytest.mark.parametrize(
    "right",
    [{"tokens": 0}, {"ratio": 1}, {"ratio": 0.1, "threshold": -3}, {"threshold": 0}, {"tokens": 9, "tokenizer": len}],
)
def test_right_arguments_make_a_frozen_value(right):
    budget = Budget(**right)
    assert budget == Budget(**right)
    with pytest.raises(dataclasses.FrozenInstanceError):
        budget.tokens = 1


@given(tokens_in=st.integers(0, 10_000), ratio=st.floats(0.001, 1))
def test_the_limit_is_rounded_down_and_never_above_the_input(tokens_in, ratio):
    assert Budget(ratio=ratio).limit(tokens_in) == int(Decimal(str(ratio)) * tokens_in)
    assert Budget(threshold=0).limit(tokens_in) == tokens_in
    assert Budget(tokens=50).limit(tokens_in) == min(50, tokens_in)


@pytest.mark.parametrize(
    ("ratio", "tokens", "limit"),
    [(0.29, 100, 29), (0.57, 100, 57), (0.07, 100, 7), (np.float32(0.29), 100, 29), (Fraction(1, 3), 9, 3), (1, 7, 7)],
)
def test_a_share_is_the_one_that_is_written(ratio, tokens, limit):
    """In binary 0.29 is a little less, and a hundred times that a little less than 29."""
    assert Budget(ratio=ratio).limit(tokens) == limit
