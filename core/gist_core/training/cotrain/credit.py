"""From what sampled gists gain to what each word is worth: two estimators of one objective.

The objective is E[gain] - price * E[length] + temperature * entropy over masks of independent words; ``policy.py`` says
why its optimum has score = gain of the word / temperature. ``GroupCredit`` compares whole gists with one another;
``LeaveOneOutCredit`` compares a gist with itself less one word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gist_core.training.cotrain.gists import Mask, gist_text, runs
from gist_core.training.cotrain.judge import Judge
from gist_core.training.cotrain.policy import UnitScores, keep_logits
from gist_core.training.rewards import advantages

_STRETCH = 8
_LIMIT = 12.0  # a score beyond it says nothing more: the word is kept at any price


@dataclass(frozen=True, slots=True)
class Drawn:
    """A policy's masks for a batch: ``masks[b]`` are those of context b."""

    scores: UnitScores
    tokens: list[Tensor]
    price: float
    masks: list[list[Mask]]
    rngs: Sequence[np.random.Generator]
    fragment_price: float = 0.0

    def logits(self) -> list[Tensor]:
        """The keep logits of each context's units."""
        return [keep_logits(s, t, self.price) for s, t in zip(self.scores.split(), self.tokens, strict=True)]

    def worth(self, judge: Judge, masks: Sequence[Sequence[Mask]]) -> list[Tensor]:
        """For each context the (masks,) expected gain of its masks, less the price of falling into pieces."""
        owners = [b for b, found in enumerate(masks) for _ in found]
        texts = [
            gist_text(judge.episodes[b].context, self.scores.units[b], m)
            for b, found in enumerate(masks)
            for m in found
        ]
        pieces = [runs(m) / max(1, len(m)) for found in masks for m in found]
        gained = judge.gains(texts, owners)
        worth = gained - self.fragment_price * gained.new_tensor(pieces)
        return list(torch.split(worth, [len(found) for found in masks]))


class Credit(Protocol):
    """Says how much each unit's score should move."""

    @property
    def samples(self) -> int:
        """Gists that are drawn of each context."""

    def coins(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """One number in [0, 1) for each of ``count`` words; a word is kept where it is below the word's chance."""

    def loss(self, drawn: Drawn, judge: Judge) -> Tensor:
        """A scalar whose gradient moves the scores; mean over contexts."""


@dataclass(frozen=True, slots=True)
class GroupCredit:
    """One number for a whole gist: the score-function gradient with the group as baseline (GRPO, arXiv 2402.03300).

    Attributes:
        samples: Gists of each context that are compared.
        decay: Pull of the scores to zero, which is what the objective's entropy comes to once the price is paid.
    """

    samples: int = 8
    decay: float = 0.02

    def coins(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """As ``Credit.coins``: each word has its own, else the score function would be another."""
        return rng.random(count)

    def loss(self, drawn: Drawn, judge: Judge) -> Tensor:
        """As ``Credit.loss``."""
        total = drawn.scores.score.sum() * 0.0
        worth = drawn.worth(judge, drawn.masks)
        rows = zip(drawn.scores.split(), drawn.logits(), drawn.masks, worth, strict=True)
        for scores, logits, masks, gained in rows:
            kept = torch.from_numpy(np.stack(masks)).to(logits)
            log_prob = -F.binary_cross_entropy_with_logits(logits.expand_as(kept), kept, reduction="none").sum(-1)
            p = torch.sigmoid(logits.detach())
            decay = 0.5 * (p * (1 - p) * scores.square()).sum()
            total = total - (advantages(gained) * log_prob).mean() + self.decay * decay
        return total / len(drawn.masks)


@dataclass(frozen=True, slots=True)
class LeaveOneOutCredit:
    """One number for each word: what the gist gains with it less what it gains without (difference rewards).

    The counterfactual of Foerster et al. 2018 (arXiv 1705.08926) for Bernoulli masks, as a natural gradient: along
    the Fisher metric p(1 - p) a word that is nearly given up moves as fast as any other. The scores are regressed on
    the credit over the temperature, where the objective has its optimum.

    Attributes:
        samples: Gists of each context.
        flips: Places of each gist where words are left out or put in, half of them kept ones where there are enough.
        words: So many neighbouring words of a place, if they are all kept or all not, go together, and share the credit
            evenly. More than one where a single word changes little: the change grows, and the noise of a step falls.
        temperature: Nats per token of F that one unit of score stands for: about half a hundredth of what the whole
            context gains.
    """

    samples: int = 1
    flips: int = 16
    words: int = 1
    temperature: float = 0.01

    def coins(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """As ``Credit.coins``: stretches of one to eight words share one, so that what belongs together is seen

        together. The chance of a word stays what it was, and what it adds to the gist that was drawn is its credit.
        """
        ends = np.cumsum(rng.integers(1, _STRETCH + 1, size=count))
        return rng.random(count)[np.searchsorted(ends, np.arange(count), side="right")]

    def loss(self, drawn: Drawn, judge: Judge) -> Tensor:
        """As ``Credit.loss``."""
        asked, chosen = [], []
        for masks, rng in zip(drawn.masks, drawn.rngs, strict=True):
            picked = [[_together(mask, i, self.words) for i in _flipped(mask, self.flips, rng)] for mask in masks]
            chosen.append(picked)
            asked.append([m for mask, at in zip(masks, picked, strict=True) for m in (mask, *_each(mask, at))])
        worth = drawn.worth(judge, asked)
        total = drawn.scores.score.sum() * 0.0
        for scores, masks, picked, gained in zip(drawn.scores.split(), drawn.masks, chosen, worth, strict=True):
            first = 0
            for mask, places in zip(masks, picked, strict=True):
                change = gained[first + 1 : first + 1 + len(places)] - gained[first]
                first += 1 + len(places)
                sign = change.new_tensor([-1.0 if mask[at.start] else 1.0 for at in places])
                sizes = change.new_tensor([at.stop - at.start for at in places])
                target = (sign * change / sizes / self.temperature).clamp(-_LIMIT, _LIMIT)
                found = torch.stack([scores[at].mean() for at in places])
                total = total + F.smooth_l1_loss(found, target, beta=_LIMIT / 2) / len(masks)
        return total / len(drawn.masks)


def _flipped(mask: Mask, count: int, rng: np.random.Generator) -> np.ndarray:
    """Which units to flip: half of them kept ones, as far as there are."""
    kept, left = rng.permutation(np.flatnonzero(mask)), rng.permutation(np.flatnonzero(~mask))
    inside = min(len(kept), max(count // 2, count - len(left)))
    return np.sort(np.concatenate([kept[:inside], left[: count - inside]]))


def _together(mask: Mask, at: int, most: int) -> slice:
    """At most ``most`` units from ``at`` on that are all kept, or all not."""
    end = at + 1
    while end < min(len(mask), at + most) and mask[end] == mask[at]:
        end += 1
    return slice(int(at), int(end))


def _each(mask: Mask, places: Sequence[slice]) -> list[Mask]:
    """The mask with the units of one place the other way round, for each of ``places``."""
    out = []
    for at in places:
        other = mask.copy()
        other[at] = ~other[at]
        out.append(other)
    return out
