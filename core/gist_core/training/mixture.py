"""A fusion that learns along: how unit scores are mixed, while a network is trained, with what it cannot change."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gist_core.selective.fusion import SIGNALS, Fusion
from gist_core.training.reading import KNOWN


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
    """``Fusion`` as a layer, linear part and hidden units, over some of its signals; the others stand at their mean.

    What trains with it starts from how units are rated in a call; the linear part alone would be nearly flat: most of
    what a fusion says goes through what is hidden.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, fusion: Fusion, names: Sequence[str] = KNOWN) -> None:
        """``names``: the signals that it is given, in that order."""
        super().__init__()
        fusion = fusion.widened()
        used = [SIGNALS.index(name) for name in names]
        self.register_buffer("mean", torch.from_numpy(fusion.mean[used]))
        self.register_buffer("scale", torch.from_numpy(fusion.scale[used]))
        self.layers = FusionLayers(len(used), len(fusion.output))
        with torch.no_grad():
            self.layers.linear.weight.copy_(torch.from_numpy(fusion.linear[used])[None])
            self.layers.linear.bias.copy_(torch.from_numpy(fusion.bias))
            self.layers.hidden.weight.copy_(torch.from_numpy(fusion.hidden[used].T.copy()))
            self.layers.hidden.bias.copy_(torch.from_numpy(fusion.hidden_bias))
            self.layers.output.weight.copy_(torch.from_numpy(fusion.output)[None])

    def forward(self, signals: Tensor) -> Tensor:
        """(U, F) -> (U,) logits."""
        mixed: Tensor = self.layers((signals - self.mean) / self.scale)
        return mixed
