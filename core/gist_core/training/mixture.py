"""A fusion that learns along: how unit scores are mixed, while a network is trained, with what it cannot change."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gist_core.selective.fusion import SIGNALS, Fusion
from gist_core.training.reading import KNOWN

_DERIVED = ("distinct", "unit_cosine_z", "window_cosine_z")


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
        self.linear = nn.Linear(len(used), 1)
        self.hidden = nn.Linear(len(used), len(fusion.output))
        self.output = nn.Linear(len(fusion.output), 1, bias=False)
        with torch.no_grad():
            self.linear.weight.copy_(torch.from_numpy(fusion.linear[used])[None])
            self.linear.bias.copy_(torch.from_numpy(fusion.bias))
            self.hidden.weight.copy_(torch.from_numpy(fusion.hidden[used].T.copy()))
            self.hidden.bias.copy_(torch.from_numpy(fusion.hidden_bias))
            self.output.weight.copy_(torch.from_numpy(fusion.output)[None])

    def forward(self, known: Tensor, question: Tensor) -> Tensor:
        """(U, 9) signals as in ``Reading.signals``, and the question of each unit -> (U,) logits."""
        unit, window, central = (known[:, KNOWN.index(n)] for n in ("unit_cosine", "window_cosine", "central"))
        # As in gist_core.selective.signals, where one call is one question.
        distinct = (unit - window) / ((2 - 2 * central).clamp(min=0) + 0.02).sqrt()
        derived = torch.stack([distinct, _standardised(unit, question), _standardised(window, question)], dim=1)
        x = (torch.cat([known, derived], dim=1) - self.mean) / self.scale
        mixed: Tensor = self.linear(x) + self.output(torch.tanh(self.hidden(x)))
        return mixed.squeeze(-1)


def _standardised(values: Tensor, group: Tensor) -> Tensor:
    """Less the mean of each group, over its deviation."""
    count = torch.bincount(group).clamp(min=1)
    centred = values - (values.new_zeros(len(count)).index_add(0, group, values) / count)[group]
    variance = values.new_zeros(len(count)).index_add(0, group, centred.square()) / count
    return centred / ((variance + 1e-12).sqrt() + 1e-3)[group]  # a bare root has no gradient at nought
