"""From what sampled gists gain to how each word's score should move.

The objective is E[gain] - price * E[length] + temperature * entropy over masks of independent words; ``policy.py`` says
how the entropy is weighted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gist_core.training.cotrain.gists import Mask, gist_text, runs
from gist_core.training.cotrain.judge import Judge
from gist_core.training.cotrain.policy import UnitScores
from gist_core.training.rewards import advantages


@dataclass(frozen=True, slots=True)
class Drawn:
    """A policy's masks for a batch: ``masks[b]`` are those of context b, drawn at ``price``."""

    scores: UnitScores
    price: float
    masks: list[list[Mask]]
    fragment_price: float = 0.0

    def logits(self) -> list[Tensor]:
        """The keep logits of each context's units."""
        return [scores - self.price for scores in self.scores.split()]

    def worth(self, judge: Judge) -> list[Tensor]:
        """For each context the (masks,) expected gain of its masks, less the price of falling into pieces."""
        owners = [b for b, found in enumerate(self.masks) for _ in found]
        texts = [
            gist_text(judge.episodes[b].context, self.scores.units[b], m)
            for b, found in enumerate(self.masks)
            for m in found
        ]
        pieces = [runs(m) / max(1, len(m)) for found in self.masks for m in found]
        gained = judge.gains(texts, owners)
        worth = gained - self.fragment_price * gained.new_tensor(pieces)
        return list(torch.split(worth, [len(found) for found in self.masks]))


@dataclass(frozen=True, slots=True)
class GroupCredit:
    """One number for a whole gist: the score-function gradient with the group as baseline (GRPO, arXiv 2402.03300).

    A difference reward for each word (what the gist gains with it less what it gains without) was tried beside it and
    did worse for more time (``core/decisions/0007``).

    Attributes:
        samples: Gists of each context that are compared.
        decay: Pull of the scores to zero, which is what the objective's entropy comes to once the price is paid.
    """

    samples: int = 8
    decay: float = 0.02

    def masks(self, rng: np.random.Generator, chances: np.ndarray) -> list[Mask]:
        """``samples`` masks of units that are kept with these chances, each by a coin of its own."""
        return [rng.random(len(chances)) < chances for _ in range(self.samples)]

    def loss(self, drawn: Drawn, judge: Judge) -> Tensor:
        """A scalar whose gradient moves the scores; mean over contexts."""
        total = drawn.scores.score.sum() * 0.0
        for scores, logits, masks, gained in zip(
            drawn.scores.split(), drawn.logits(), drawn.masks, drawn.worth(judge), strict=True
        ):
            kept = torch.from_numpy(np.stack(masks)).to(logits)
            log_prob = -F.binary_cross_entropy_with_logits(logits.expand_as(kept), kept, reduction="none").sum(-1)
            p = torch.sigmoid(logits.detach())
            decay = 0.5 * (p * (1 - p) * scores.square()).sum()
            total = total - (advantages(gained) * log_prob).mean() + self.decay * decay
        return total / len(drawn.masks)


def chances(scores: Tensor, price: float) -> np.ndarray:
    """(U,) scores -> (U,) chances of being kept at a price."""
    found: np.ndarray = torch.sigmoid(scores.detach() - price).cpu().numpy()
    return found
