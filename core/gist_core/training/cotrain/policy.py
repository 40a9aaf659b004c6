"""The selective policy: an encoder scores every word of C, and each is kept or not by a coin of its own.

A word is kept with probability sigma(score - price). That maximises expected gain less the price of length plus the
entropy of each word's coin times its tokens, when the score is the word's gain per token over the temperature. So the
price alone sets the rate, at once and for any rate, the scores need not be learned anew when it moves, and their order
is the one in which words should fill a budget of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gist_core.passage import Span
from gist_core.selective.engine import Parts
from gist_core.selective.pooling import pool_logits
from gist_core.selective.signals import prepare, special_ids
from gist_core.selective.windows import padded

_CHUNK = 32  # windows that are run together


@dataclass(frozen=True, slots=True)
class UnitScores:
    """Of B contexts with U units in all: ``score`` (U,) with gradient, ``owner`` (U,) int64, and their spans."""

    score: Tensor
    owner: Tensor
    units: list[list[Span]]

    def split(self) -> list[Tensor]:
        """The scores of each context."""
        return list(torch.split(self.score, [len(u) for u in self.units]))


class SelectivePolicy(nn.Module):
    """A selective model as a policy, in its query-free mode.

    Args:
        parts: What a checkpoint holds; ``parts.model`` is trained in place.
        whole: Whether the shared layers are trained too: for a model that starts from nothing. Otherwise only the
            interaction branch and the keep head are, so that what a query is answered by stays what it was.
    """

    def __init__(self, parts: Parts, *, whole: bool) -> None:
        super().__init__()
        self.model = parts.model
        self.parts, self.whole = parts, whole
        trained = ("interaction_branch", "side", "keep_head") + (("embeddings", "shared") if whole else ())
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(name.split(".")[0] in trained)

    def trained(self) -> list[nn.Parameter]:
        """What training changes."""
        return [p for p in self.parameters() if p.requires_grad]

    def forward(self, contexts: Sequence[str]) -> UnitScores:
        """Score every unit of every context, each read by itself, as it is where a checkpoint is used."""
        prepared = [prepare([context], None, self.parts.tokenizer, self.model.config) for context in contexts]
        units = [[s.span for s in p.segments[0]] for p in prepared]
        first = np.cumsum([0, *map(len, units)])
        keep = self._keep([item.ids for p in prepared for item in p.items])
        unit = np.concatenate([p.cut.tokens.unit + at for p, at in zip(prepared, first[:-1], strict=True)])
        owner = torch.repeat_interleave(torch.arange(len(units)), torch.tensor([len(u) for u in units]))
        score = pool_logits(keep, torch.from_numpy(unit).to(keep.device), int(first[-1]))
        return UnitScores(score, owner.to(keep.device), units)

    def _keep(self, rows: Sequence[NDArray[np.int64]]) -> Tensor:
        """Windows with their special tokens -> (N,) keep logits of all tokens, in order."""
        special, place = special_ids(self.parts.tokenizer), self.model.side.device
        order = np.argsort([len(row) for row in rows], kind="stable")
        found: list[Tensor] = [torch.zeros(0, device=place)] * len(rows)
        with torch.set_grad_enabled(self.whole and torch.is_grad_enabled()):
            query = self.model.encode_query(torch.tensor([[special.cls, special.sep]], device=place)).hidden
        for at in range(0, len(order), _CHUNK):
            chosen = order[at : at + _CHUNK].tolist()
            ids, mask = (torch.from_numpy(a).to(place) for a in padded([rows[i] for i in chosen], special.pad))
            with torch.set_grad_enabled(self.whole and torch.is_grad_enabled()):
                shared = self.model.encode_windows(ids, mask)
            states = query.expand(len(chosen), -1, -1)
            logits, _ = self.model.interact(states, mask.new_ones(states.shape[:2]), shared, mask)
            for i, values in zip(chosen, logits, strict=True):
                found[i] = values[1 : len(rows[i]) - 1].float()
        return torch.cat(found) if found else torch.zeros(0, device=place)
