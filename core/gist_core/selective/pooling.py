"""Token values -> unit values, as segment operations."""

from __future__ import annotations

import torch
from torch import Tensor

LOGIT_LIMIT = 20.0  # keeps exp() inside float32; a keep probability beyond it says nothing more


def pool_logits(logits: Tensor, unit: Tensor, count: int) -> Tensor:
    """Log-mean-exp of the token logits of every unit.

    A soft maximum: an answer of two words lifts its sentence, yet one odd token alone does not.

    Args:
        logits: (N,) keep logits.
        unit: (N,) int64, the unit of each token, below ``count``.
        count: Number of units.

    Returns:
        (count,) float32; a unit without tokens gets ``-LOGIT_LIMIT``.
    """
    values = logits.float().clamp(-LOGIT_LIMIT, LOGIT_LIMIT).exp()
    total = values.new_zeros(count).index_add(0, unit, values)
    number = values.new_zeros(count).index_add(0, unit, torch.ones_like(values))
    return torch.where(number > 0, (total / number.clamp(min=1)).clamp(min=1e-9).log(), -LOGIT_LIMIT)
