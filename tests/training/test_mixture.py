"""The mixture that trains along: it begins as the fusion of a call, and gradients go through all of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from gist_core.selective.fusion import SIGNALS, Fusion, untrained
from gist_core.selective.signals import distinct, standardised
from gist_core.training.mixture import Mixture
from gist_core.training.reading import KNOWN

QUESTION = torch.tensor([0, 0, 0, 2, 2, 2, 2])  # the second has no units


def fusion():
    rng = np.random.default_rng(6)

    def some(*shape):
        return rng.normal(size=shape).astype(np.float32)

    count = len(SIGNALS)
    return Fusion(some(count), np.abs(some(count)) + 0.5, some(count), some(count, 2), some(2), some(2), some(1))


def known():
    values = torch.randn(len(QUESTION), len(KNOWN), generator=torch.Generator().manual_seed(5))
    return values.tanh()  # cosines among them


def test_a_mixture_begins_as_the_fusion_of_a_call():
    wanted = []
    for number in QUESTION.unique():
        part = known()[number == QUESTION].numpy()
        signals = np.tile(fusion().mean, (len(part), 1))  # trigrams stand at their mean
        signals[:, [SIGNALS.index(n) for n in KNOWN]] = part
        unit, window, central = (part[:, KNOWN.index(n)] for n in ("unit_cosine", "window_cosine", "central"))
        signals[:, SIGNALS.index("distinct")] = distinct(unit, window, central)
        signals[:, SIGNALS.index("unit_cosine_z")] = standardised(unit)
        signals[:, SIGNALS.index("window_cosine_z")] = standardised(window)
        wanted.append(fusion()(signals))
    got = Mixture(fusion())(known(), QUESTION)
    assert torch.allclose(got, torch.from_numpy(np.concatenate(wanted)), atol=1e-4)


def test_gradients_are_finite_where_a_question_has_one_unit_or_all_are_alike():
    signals = torch.ones(len(QUESTION), len(KNOWN), requires_grad=True)
    mixture = Mixture(fusion())
    mixture(signals, torch.tensor([0, 1, 1, 1, 1, 1, 1])).sum().backward()
    assert signals.grad.isfinite().all()
    for name, parameter in mixture.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


def test_a_fusion_of_fewer_signals_is_mixed_too():
    """Those that came after it was learned count for nothing."""
    whole, count = untrained(), len(KNOWN)
    short = replace(whole, **{n: getattr(whole, n)[:count] for n in ("mean", "scale", "linear", "hidden")})
    assert torch.equal(Mixture(short)(known(), QUESTION), Mixture(whole)(known(), QUESTION))
