"""Muon for the matrices inside the layers, AdamW for embeddings, norms and biases."""

from __future__ import annotations

import torch
from torch import nn

from gist_core.training.lm.muon import Muon

Optimizers = tuple[torch.optim.Optimizer, ...]


def optimizers(model: nn.Module, *, matrices: float, rest: float, weight_decay: float) -> Optimizers:
    """Muon (Jordan et al. 2024, kellerjordan.github.io/posts/muon) beside AdamW (arXiv 1711.05101).

    Muon makes every update of a matrix orthogonal, from which small models learn in fewer steps.

    Args:
        model: What is trained; parameters that need no gradient are left out.
        matrices: Learning rate of the layers' matrices.
        rest: Learning rate of the others.
        weight_decay: Of the matrices alone.
    """
    hidden: list[nn.Parameter] = []
    others: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            inside = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
            (hidden if inside else others).append(parameter)
    muon = Muon(hidden, lr=matrices, weight_decay=weight_decay)
    if not others:  # all that LoRA trains is matrices
        return (muon,)
    return muon, torch.optim.AdamW(others, lr=rest, betas=(0.9, 0.95), weight_decay=0.0)


def scale_rates(found: Optimizers, factor: float) -> None:
    """Set every learning rate to ``factor`` times its first value."""
    for optimizer in found:
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
            group["lr"] = group["initial_lr"] * factor


def trapezoid(step: int, steps: int, warmup: float, cooldown: float) -> float:
    """1 between a linear rise over the first share and a linear fall to nearly 0 over the last."""
    rise = max(1, int(warmup * steps))
    fall = max(1, int(cooldown * steps))
    return min(1.0, (step + 1) / rise, (steps - step) / fall)
