"""A fusion that learns along: how unit scores are mixed, while a network is trained, with what it cannot change."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gist_core.selective.fusion import SIGNALS, Fusion
from gist_core.training.reading import KNOWN

_DERIVED = ("distinct", "unit_cosine_z", "window_cosine_z")


class FusionLayers(nn.Module):
    """What a ``Fusion`` does to signals that are standardised already."""

    def __init__(self, signal_count: int, hidden: int) -> None:
        super().__init__()
        self.linear = nn.Linear(signal_count, 1)
        self.hidden = nn.Linear(signal_count, hidden)
        self.output = nn.Linear(hidden, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(U, F) signals -> (U,) logits."""
        mixed: Tensor = self.linear(x) + self.output(torch.tanh(self.hidden(x)))
        return mixed.squeeze(-1)


class Mixture(nn.Module):
    """``Fusion`` as a layer, linear part and hidden units, over the signals that a step has.

    Those of trigrams, which a step does not count, stand at their mean. What trains with it starts from how units are
    rated in a call; the linear part alone would be nearly flat: most of what a fusion says goes through what is hidden.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, fusion: Fusion) -> None:
        super().__init__()
        fusion = fusion.widened()
        used = [SIGNALS.index(name) for name in KNOWN + _DERIVED]
        self.register_buffer("mean", torch.from_numpy(fusion.mean[used]))
        self.register_buffer("scale", torch.from_numpy(fusion.scale[used]))
        self.layers = FusionLayers(len(used), len(fusion.output))
        with torch.no_grad():
            self.layers.linear.weight.copy_(torch.from_numpy(fusion.linear[used])[None])
            self.layers.linear.bias.copy_(torch.from_numpy(fusion.bias))
            self.layers.hidden.weight.copy_(torch.from_numpy(fusion.hidden[used].T.copy()))
            self.layers.hidden.bias.copy_(torch.from_numpy(fusion.hidden_bias))
            self.layers.output.weight.copy_(torch.from_numpy(fusion.output)[None])

    def forward(self, known: Tensor, question: Tensor) -> Tensor:
        """(U, 9) signals as in ``Reading.signals``, and the question of each unit -> (U,) logits."""
        unit, window, central = (known[:, KNOWN.index(n)] for n in ("unit_cosine", "window_cosine", "central"))
        # As in gist_core.selective.signals, where one call is one question.
        distinct = (unit - window) / ((2 - 2 * central).clamp(min=0) + 0.02).sqrt()
        derived = torch.stack([distinct, _standardised(unit, question), _standardised(window, question)], dim=1)
        mixed: Tensor = self.layers((torch.cat([known, derived], dim=1) - self.mean) / self.scale)
        return mixed


def _standardised(values: Tensor, group: Tensor) -> Tensor:
    """Less the mean of each group, over its deviation."""
    count = torch.bincount(group).clamp(min=1)
    centred = values - (values.new_zeros(len(count)).index_add(0, group, values) / count)[group]
    variance = values.new_zeros(len(count)).index_add(0, group, centred.square()) / count
    return centred / ((variance + 1e-12).sqrt() + 1e-3)[group]  # a bare root has no gradient at nought
