"""Token values -> unit values, as segment operations: in torch for training, in NumPy for callers' threads.

A caller's thread does not compute with torch: for so few numbers a team of OpenMP threads would cost more than it
gives, and take the cores from the lanes of other callers.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
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


def pool_arrays(logits: NDArray[np.float32], unit: NDArray[np.int64], count: int) -> NDArray[np.float32]:
    """``pool_logits`` of arrays: (N,) logits and units -> (count,) float32."""
    values = np.exp(np.clip(logits, -LOGIT_LIMIT, LOGIT_LIMIT))
    total = np.bincount(unit, values, minlength=count)
    number = np.bincount(unit, minlength=count)
    pooled = np.log(np.maximum(total / np.maximum(number, 1), 1e-9))
    return np.where(number > 0, pooled, -LOGIT_LIMIT).astype(np.float32)
