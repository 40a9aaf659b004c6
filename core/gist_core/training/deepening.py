"""A longer interaction for a network: more of its layers read question and text together."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from gist_core.errors import InvalidInputError
from gist_core.selective.engine import Parts

BRANCHES = ("embedding_branch", "interaction_branch")


def deepened(parts: Parts, branch_layers: int) -> Parts:
    """The same layers divided otherwise: the last of the shared ones stand at the beginning of both branches.

    The embedding branch says what it said. Question and text meet earlier, in layers that never saw both, so the
    interaction has to be trained on, that of other languages too (``gist train languages``). A checkpoint stores what
    is learned of the interaction as low-rank changes (``selective.lent``).

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
    longer.config = replace(config, shared_layers=shared, branch_layers=branch_layers, lent_layers=branch_layers)
    longer.embedding_branch = nn.ModuleList([*copy.deepcopy(moved), *longer.embedding_branch])
    longer.interaction_branch = nn.ModuleList([*moved, *longer.interaction_branch])
    longer.shared = longer.shared[:shared]
    foreign = parts.foreign and replace(parts.foreign, tensors=_moved(parts.foreign.tensors, shared, len(moved)))
    return replace(parts, model=longer, foreign=foreign)


def _moved(changes: Mapping[str, Tensor], shared: int, moved: int) -> dict[str, Tensor]:
    """What changes layers, by their names once ``moved`` of them, those above ``shared``, start the branches."""
    return {new: tensor for name, tensor in changes.items() for new in _names(name, shared, moved)}


def _names(name: str, shared: int, moved: int) -> list[str]:
    part, _, rest = name.partition(".")
    if part not in ("shared", *BRANCHES):
        return [name]
    number, _, rest = rest.partition(".")
    if part in BRANCHES:
        return [f"{part}.{int(number) + moved}.{rest}"]
    if int(number) < shared:
        return [name]
    return [f"{branch}.{int(number) - shared}.{rest}" for branch in BRANCHES]
