"""Changes of a matrix as the product of two narrow ones (LoRA, Hu et al. 2021, arXiv 2106.09685)."""

from __future__ import annotations

import torch
from torch import Tensor

MATRICES = ("query", "key", "value", "output", "up", "down")
"""The linear layers of a layer of the encoder, by name: what is changed."""

DOWN, UP = ".low_rank_down", ".low_rank_up"
"""What is appended to a layer's name for its two factors, (R, I) and (R, O); ``up.T @ down`` is added to its weight."""


def factored(change: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """(O, I) -> up (``rank``, O) and down (``rank``, I), whose product is the nearest to it (Eckart, Young)."""
    left, sizes, right = torch.linalg.svd(change.double(), full_matrices=False)
    root = sizes[:rank].sqrt()[:, None]
    return (root * left.T[:rank]).float(), (root * right[:rank]).float()
