"""The mixture that trains along: it begins as the fusion of a call, and gradients go through all of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from gist_core.selective.fusion import SIGNALS, Fusion, untrained
from gist_core.training.mixture import Mixture
from gist_core.training.reading import KNOWN

UNITS = 7


def fusion():
    rng = np.random.default_rng(6)

    def some(*shape):
        return rng.normal(size=shape).astype(np.float32)

    count = len(SIGNALS)
    return Fusion(some(count), np.abs(some(count)) + 0.5, some(count), some(count, 2), some(2), some(2), some(1))


def known():
    return torch.randn(UNITS, len(KNOWN), generator=torch.Generator().manual_seed(5))


def test_a_mixture_begins_as_the_fusion_of_a_call():
    """What it is not given stands at the mean: trigrams, which a step does not count, and cosines."""
    signals = np.tile(fusion().mean, (UNITS, 1))
    signals[:, [SIGNALS.index(n) for n in KNOWN]] = known().numpy()
    assert torch.allclose(Mixture(fusion())(known()), torch.from_numpy(fusion()(signals)), atol=1e-4)


def test_a_mixture_of_all_signals_is_the_fusion():
    signals = np.random.default_rng(7).normal(size=(UNITS, len(SIGNALS))).astype(np.float32)
    backwards = SIGNALS[::-1]
    got = Mixture(fusion(), backwards)(torch.from_numpy(signals[:, ::-1].copy()))
    assert torch.allclose(got, torch.from_numpy(fusion()(signals)), atol=1e-4)


def test_gradients_go_through_all_of_it():
    signals = known().requires_grad_()
    mixture = Mixture(fusion())
    mixture(signals).sum().backward()
    assert signals.grad.any(dim=0).all()
    for name, parameter in mixture.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_a_fusion_of_fewer_signals_is_mixed_too():
    """Those that came after it was learned count for nothing."""
    whole, count = untrained(), SIGNALS.index("length") + 1
    short = replace(whole, **{n: getattr(whole, n)[:count] for n in ("mean", "scale", "linear", "hidden")})
    assert torch.equal(Mixture(short)(known()), Mixture(whole)(known()))
