"""A longer interaction for a network: more of its layers read question and text together."""

from __future__ import annotations

import copy
from dataclasses import replace

from torch import nn

from gist_core.errors import InvalidInputError
from gist_core.selective.engine import Parts


def deepened(parts: Parts, branch_layers: int) -> Parts:
    """The same layers divided otherwise: the last of the shared ones stand at the beginning of both branches.

    The embedding branch says what it said. Question and text meet earlier, in layers that never saw both, so the
    interaction has to be trained on; what other languages are read with does not fit it and is left out. A checkpoint
    stores what is learned of the new layers as low-rank changes (``selective.lent``).

    Args:
        parts: A network; it stays as it is.
        branch_layers: How many layers each branch is to have.

    Raises:
        InvalidInputError: The branches have as many layers already, or there are not so many.
    """
    model, config = parts.model, parts.model.config
    own, most = config.branch_layers, config.shared_layers + config.branch_layers
    if not own < branch_layers <= most:
        raise InvalidInputError(
            f"branch_layers is {branch_layers}; the branches of this network have {own} of {most} layers.",
            hint=f"Choose {own + 1} to {most}." if own < most else "Its interaction cannot be longer.",
        )
    shared = most - branch_layers
    longer = copy.deepcopy(model)
    moved = longer.shared[shared:]
    lent = len(moved) + config.lent_layers
    longer.config = replace(config, shared_layers=shared, branch_layers=branch_layers, lent_layers=lent)
    longer.embedding_branch = nn.ModuleList([*copy.deepcopy(moved), *longer.embedding_branch])
    longer.interaction_branch = nn.ModuleList([*moved, *longer.interaction_branch])
    longer.shared = longer.shared[:shared]
    return replace(parts, model=longer, foreign=None)
