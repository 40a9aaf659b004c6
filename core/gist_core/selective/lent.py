"""Layers that a checkpoint does not store twice: those that the interaction branch has from the embedding branch.

The layers of a longer interaction started as the embedding branch's, and training changes them little: of each matrix
the change is stored, as two narrow ones, in little more than a third of the room
(core/decisions/0021-from-the-first-layer.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from gist_core.selective.config import SelectiveConfig
from gist_core.selective.low_rank import DOWN, MATRICES, UP, factored

RANK = 92


def without_lent(state: Mapping[str, Tensor], config: SelectiveConfig) -> dict[str, Tensor]:
    """The tensors of a network as they are stored; of a change the ``RANK`` largest parts are kept."""
    stored = dict(state)
    for lender, layer in _lent(config):
        change = stored.pop(f"{layer}.weight") - state[f"{lender}.weight"]
        stored[layer + UP], stored[layer + DOWN] = factored(change, RANK)
    return stored


def with_lent(stored: Mapping[str, Tensor], config: SelectiveConfig) -> dict[str, Tensor]:
    """The tensors of a network, out of what ``without_lent`` made of them.

    Raises:
        KeyError: A change, or what it changes, is missing.
    """
    state = dict(stored)
    for lender, layer in _lent(config):
        up, down = state.pop(layer + UP), state.pop(layer + DOWN)
        state[f"{layer}.weight"] = stored[f"{lender}.weight"] + up.T @ down
    return state


def _lent(config: SelectiveConfig) -> Iterator[tuple[str, str]]:
    """Names of the linear layers that lend and of those that are lent to."""
    for number in range(config.lent_layers):
        for matrix in MATRICES:
            yield f"embedding_branch.{number}.{matrix}", f"interaction_branch.{number}.{matrix}"
