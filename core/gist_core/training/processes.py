"""Several processes of one run (``accelerate launch``): each takes every n-th episode, and gradients are averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from accelerate import Accelerator
from torch import Tensor

from gist_core.errors import InvalidInputError

Item = TypeVar("Item")


def mine(accelerator: Accelerator, items: Sequence[Item]) -> Sequence[Item]:
    """This process's share of the items of a step.

    Raises:
        InvalidInputError: Some process would get none.
    """
    if len(items) < accelerator.num_processes:
        raise InvalidInputError(
            f"{len(items)} episodes a step do not go round {accelerator.num_processes} processes.",
            hint="Raise --batch or start fewer processes.",
        )
    return items[accelerator.process_index :: accelerator.num_processes]


def average_gradients(accelerator: Accelerator, parameters: Sequence[Tensor]) -> None:
    """Gradients become their mean over the processes; a missing one counts as nothing."""
    if accelerator.num_processes == 1:
        return
    for parameter in parameters:
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        parameter.grad = accelerator.reduce(gradient, reduction="mean")


def average_numbers(accelerator: Accelerator, numbers: Mapping[str, float]) -> dict[str, float]:
    """Named numbers as their means over the processes."""
    if accelerator.num_processes == 1:
        return dict(numbers)
    values = torch.tensor(list(numbers.values()), device=accelerator.device)
    return dict(zip(numbers, accelerator.reduce(values, reduction="mean").tolist(), strict=True))
