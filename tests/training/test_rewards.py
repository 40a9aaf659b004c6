"""What a gist is worth, on made-up distributions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gist_core.training.rewards import (
    advantages,
    expected_gain,
    gain,
    kl,
    kl_ratio,
    length_cost,
    log_likelihood,
    masked_mean,
    normalised_gain,
    reward,
)

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(2, 6))  # B, T, V


def _log_probs(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.log_softmax(3 * torch.randn(shape, generator=generator, dtype=torch.float64), dim=-1)


def _target(seed, b, t, v):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(v, (b, t), generator=generator)


@given(SEEDS, SIZES)
def test_an_empty_gist_gains_nothing(seed, sizes):
    teacher, local = _log_probs(seed, *sizes), _log_probs(seed + 1, *sizes)
    real, target = torch.ones(sizes[:2], dtype=torch.bool), _target(seed, *sizes)
    alone = log_likelihood(local, target, real)
    assert gain(alone, alone).eq(0).all()
    divergence = kl(teacher, local, real)
    assert expected_gain(divergence, divergence).eq(0).all()
    assert kl_ratio(divergence, divergence) == 1


@given(SEEDS, SIZES)
def test_a_gist_that_predicts_as_the_teacher_does_is_worth_the_whole_context(seed, sizes):
    teacher, local = _log_probs(seed, *sizes), _log_probs(seed + 1, *sizes)
    real = torch.ones(sizes[:2], dtype=torch.bool)
    assert kl(teacher, teacher, real).eq(0).all()
    alone = kl(teacher, local, real)
    full = expected_gain(alone, kl(teacher, teacher, real))
    assert normalised_gain(full, full) == 1


@given(SEEDS, SIZES)
def test_a_divergence_is_never_negative(seed, sizes):
    real = torch.ones(sizes[:2], dtype=torch.bool)
    assert (kl(_log_probs(seed, *sizes), _log_probs(seed + 1, *sizes), real) >= -1e-12).all()


@given(SEEDS, st.integers(2, 7))
def test_the_expected_gain_is_the_mean_gain_over_the_teachers_futures(seed, words):
    teacher, local, gist = (_log_probs(seed + i, 1, 1, words) for i in range(3))
    real = torch.ones((1, 1), dtype=torch.bool)
    mean = sum(
        teacher[0, 0, word].exp() * gain(log_likelihood(gist, future, real), log_likelihood(local, future, real))
        for word in range(words)
        for future in [torch.tensor([[word]])]
    )
    expected = expected_gain(kl(teacher, local, real), kl(teacher, gist, real))
    assert torch.allclose(mean, expected, atol=1e-10)


REWARDS = st.lists(st.floats(-100, 100), min_size=2, max_size=8)


@given(REWARDS, st.floats(-100, 100))
def test_advantages_are_centred_and_know_no_shift(rewards, shift):
    group = torch.tensor([rewards], dtype=torch.float64)
    found = advantages(group)
    assert found.mean().abs() < 1e-6
    assert torch.allclose(advantages(group + shift), found, atol=1e-6)
    assert found.abs().max() <= len(rewards) ** 0.5
    order = [i for i in range(len(rewards)) if rewards[i] == max(rewards)]
    assert found[0, order].eq(found.max()).all()


@given(st.floats(-100, 100), st.integers(2, 8))
def test_equal_rewards_say_nothing(value, size):
    assert advantages(torch.full((1, size), value, dtype=torch.float64)).abs().max() < 1e-6


def test_groups_are_compared_within_themselves():
    alone, beside = advantages(torch.tensor([[0.0, 1.0]])), advantages(torch.tensor([[0.0, 1.0], [50.0, 70.0]]))
    assert torch.equal(alone[0], beside[0])


@given(st.integers(0, 500), st.integers(1, 500), st.floats(-50, 50, allow_subnormal=False), st.floats(0, 4))
def test_the_cost_of_length_is_linear_and_has_the_prices_sign(tokens, whole, price, factor):
    size, context = (
        torch.tensor([float(tokens)], dtype=torch.float64),
        torch.tensor([float(whole)], dtype=torch.float64),
    )
    cost = length_cost(size, context, price)
    assert torch.allclose(length_cost(factor * size, context, price), factor * cost)
    assert torch.allclose(length_cost(size, context, factor * price), factor * cost)
    assert torch.allclose(length_cost(context, context, price), torch.tensor(price, dtype=torch.float64))
    assert (cost * price >= 0).all()
    assert torch.equal(reward(torch.zeros_like(cost), cost), -cost)


def test_an_empty_context_costs_no_division_by_zero():
    assert length_cost(torch.tensor([0.0]), torch.tensor([0.0]), 2.0).item() == 0


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=6), st.lists(st.floats(-1e6, 1e6), max_size=6))
def test_padding_counts_for_nothing(values, padding):
    row = torch.tensor([values + padding], dtype=torch.float64)
    real = torch.tensor([[True] * len(values) + [False] * len(padding)])
    assert masked_mean(row, real).item() == pytest.approx(sum(values) / len(values), abs=1e-9)
    assert masked_mean(row, torch.zeros_like(real)).item() == 0


@settings(max_examples=20)
@given(SEEDS, SIZES)
def test_padded_futures_are_scored_as_bare_ones(seed, sizes):
    b, t, v = sizes
    teacher, generator = _log_probs(seed, b, t + 2, v), _log_probs(seed + 1, b, t + 2, v)
    target = _target(seed, b, t + 2, v)
    real = torch.ones((b, t + 2), dtype=torch.bool)
    real[:, t:] = False
    bare = real[:, :t]
    assert torch.allclose(kl(teacher, generator, real), kl(teacher[:, :t], generator[:, :t], bare))
    assert torch.allclose(
        log_likelihood(generator, target, real), log_likelihood(generator[:, :t], target[:, :t], bare)
    )


def test_a_context_that_tells_nothing_has_no_normalised_gain():
    assert normalised_gain(torch.tensor([0.1, 0.2]), torch.tensor([0.0, 0.0])).isnan()
    assert normalised_gain(torch.tensor([0.1, 0.2]), torch.tensor([0.5, -0.5])).isnan()
    assert normalised_gain(torch.tensor([0.1, 0.2]), torch.tensor([0.2, 0.4])).item() == pytest.approx(0.5)
