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
from torch import Tensor, nn

from gist_core.passage import Span
from gist_core.selective.engine import Parts
from gist_core.selective.pooling import pool_logits
from gist_core.selective.signals import Prepared, prepare, special_ids
from gist_core.selective.windows import collate

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
        """Score every unit of every context."""
        prepared = prepare(contexts, None, self.parts.tokenizer, self.model.config)
        units = [[s.span for s in found] for found in prepared.segments]
        counts = [len(u) for u in units]
        keep = self._keep(prepared)
        unit = torch.from_numpy(prepared.cut.tokens.unit).to(keep.device)
        owner = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(keep.device)
        return UnitScores(pool_logits(keep, unit, sum(counts)), owner, units)

    def _keep(self, prepared: Prepared) -> Tensor:
        """(N,) keep logits of all tokens, in order."""
        special, place = special_ids(self.parts.tokenizer), self.model.side.device
        lengths = np.diff(prepared.cut.bounds)
        order = np.argsort(lengths, kind="stable")
        found: list[Tensor] = [torch.zeros(0, device=place)] * len(order)
        with torch.set_grad_enabled(self.whole and torch.is_grad_enabled()):
            query = self.model.encode_query(torch.tensor([[special.cls, special.sep]], device=place)).hidden
        for at in range(0, len(order), _CHUNK):
            rows = order[at : at + _CHUNK].tolist()
            batch = collate(prepared.cut, rows, special.cls, special.sep, special.pad)
            ids, mask = torch.from_numpy(batch.ids).to(place), torch.from_numpy(batch.mask).to(place)
            with torch.set_grad_enabled(self.whole and torch.is_grad_enabled()):
                shared = self.model.encode_windows(ids, mask)
            states = query.expand(len(rows), -1, -1)
            logits, _ = self.model.interact(states, mask.new_ones(states.shape[:2]), shared, mask)
            real = torch.from_numpy(batch.at >= 0).to(place)
            for row, values, inside in zip(rows, logits, real, strict=True):
                found[row] = values[inside].float()
        return torch.cat(found) if found else torch.zeros(0, device=place)
