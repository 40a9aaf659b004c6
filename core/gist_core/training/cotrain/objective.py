"""How a policy learns from what its gists gain: one protocol, here the selective policy's side of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from gist_core.passage import Span, render
from gist_core.training.cotrain.credit import Drawn, GroupCredit, chances
from gist_core.training.cotrain.episodes import Episode
from gist_core.training.cotrain.gists import WordSizes, fitted, gist_text
from gist_core.training.cotrain.judge import Judge
from gist_core.training.cotrain.policy import SelectivePolicy, UnitScores
from gist_core.training.cotrain.scoring import Frame

_PRICE_STEP = 0.4
_MOST = 1.5  # how far the price moves in one step at the most


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of B episodes: a scalar ``loss``, the ``gists`` that were sampled for each, and each one's share of C's tokens.

    ``entropy``: nats per unit or token of the policy's choices; ``gained``: mean size of the gains.
    """

    loss: Tensor
    gists: list[list[str]]
    rates: list[float]
    entropy: float
    gained: float = 1.0


class Objective(Protocol):
    """A policy with its way of learning.

    ``prices``: asked rate -> what a token of gist costs, in the policy's own units.
    """

    prices: dict[float, float]

    @property
    def policy(self) -> nn.Module:
        """What is trained."""

    def draw(
        self, episodes: Sequence[Episode], judge: Judge, rngs: Sequence[np.random.Generator], asked: float
    ) -> Outcome:
        """Sample gists at the price of the rate ``asked``; the loss whose gradient makes the better ones likelier."""

    def best(self, contexts: Sequence[str], rate: float) -> list[str]:
        """The gist of each context without chance, at most ``rate`` of its tokens."""

    def settle(self, asked: float, found: float, target: float, gained: float) -> None:
        """Move the price of a rate so that the rate found comes nearer to the target: dual ascent, from both sides.

        ``gained`` is the mean size of the gains that were seen, for a price that is in their units.
        """

    def export(self, folder: Any, name: str, version: str) -> None:
        """Write the policy as a checkpoint that ``load_compressor`` opens."""


def price_change(found: float, target: float) -> float:
    """What dual ascent adds to a price: the logarithm of rate over target, scaled and bounded."""
    ratio = float(np.log(max(found, 1e-4) / target))
    return float(np.clip(_PRICE_STEP * ratio, -_MOST, _MOST))


class SelectiveObjective:
    """Masks of words, sampled independently, and a way to give credit.

    Args:
        policy: Scores the words.
        frame: Counts in the generator's tokens.
        credit: What the gains say of the words.
        fragment_price: What falling into pieces costs, in nats per token of F for a gist whose every word stands
            alone: more than 0 for a generator that is frozen and must find the gist readable.
    """

    def __init__(self, policy: SelectivePolicy, frame: Frame, credit: GroupCredit, fragment_price: float = 0.0) -> None:
        self._policy, self.frame, self.credit = policy, frame, credit
        self.fragment_price = fragment_price
        self.prices: dict[float, float] = {}
        self._word_sizes = WordSizes(frame)

    @property
    def policy(self) -> SelectivePolicy:
        """As ``Objective.policy``."""
        return self._policy

    def draw(
        self, episodes: Sequence[Episode], judge: Judge, rngs: Sequence[np.random.Generator], asked: float
    ) -> Outcome:
        """As ``Objective.draw``."""
        contexts = [e.context for e in episodes]
        self.prices.setdefault(asked, 0.0)
        scores: UnitScores = self.policy(contexts)
        price = self._price(asked)
        keep = [chances(own, price) for own in scores.split()]
        masks = [self.credit.masks(rng, p) for rng, p in zip(rngs, keep, strict=True)]
        drawn = Drawn(scores, price, masks, self.fragment_price)
        gists = [
            [gist_text(c, units, mask) for mask in masks]
            for c, units, masks in zip(contexts, scores.units, drawn.masks, strict=True)
        ]
        return Outcome(self.credit.loss(drawn, judge), gists, _rates(self.frame, contexts, gists), _entropy(keep))

    def best(self, contexts: Sequence[str], rate: float) -> list[str]:
        """As ``Objective.best``: the words of the highest scores that fit together."""
        return [render(c, spans) for c, [spans] in zip(contexts, self.kept(contexts, (rate,)), strict=True)]

    @torch.no_grad()
    def kept(self, contexts: Sequence[str], rates: Sequence[float], around: int = 0) -> list[list[list[Span]]]:
        """Of each context, at each rate, the words of ``best`` in their order.

        With ``around``, each word by the mean score of itself and so many on either side: stretches, that read better.
        """
        scores: UnitScores = self.policy(contexts)
        tokens = self._tokens(contexts, scores.units)
        found = []
        for context, units, s, t in zip(contexts, scores.units, scores.split(), tokens, strict=True):
            whole, worth = len(self.frame.ids(context)), _smoothed(s.cpu().numpy(), around)
            sizes = t.cpu().numpy()
            rooms = [int(rate * whole) for rate in rates]
            chosen = [(_fitting(worth, sizes, room), room) for room in rooms]
            found.append([fitted(context, units, own, room, self._size) for own, room in chosen])
        return found

    def _size(self, text: str) -> int:
        return len(self.frame.ids(text))

    @torch.no_grad()
    def sampled_rate(self, contexts: Sequence[str], asked: float, rngs: Sequence[np.random.Generator]) -> float:
        """Mean rate of one sampled gist of each context, at the price of the rate ``asked``."""
        return self._sampled_rate(contexts, self.policy(contexts), asked, rngs)

    @torch.no_grad()
    def settle_all(self, contexts: Sequence[str], rngs: Sequence[np.random.Generator], rates: Sequence[float]) -> None:
        """A step of dual ascent for each of the rates, the scores as they are."""
        scores: UnitScores = self.policy(contexts)
        for asked in rates:
            self.settle(asked, self._sampled_rate(contexts, scores, asked, rngs), asked, 1.0)

    def _sampled_rate(
        self, contexts: Sequence[str], scores: UnitScores, asked: float, rngs: Sequence[np.random.Generator]
    ) -> float:
        gists = []
        for context, units, s, rng in zip(contexts, scores.units, scores.split(), rngs, strict=True):
            gists.append([gist_text(context, units, self.credit.masks(rng, chances(s, self._price(asked)))[0])])
        return float(np.mean(_rates(self.frame, contexts, gists)))

    def settle(self, asked: float, found: float, target: float, gained: float) -> None:
        """As ``Objective.settle``."""
        self.prices[asked] = self.prices.get(asked, 0.0) + price_change(found, target)

    def export(self, folder: Any, name: str, version: str) -> None:
        """As ``Objective.export``."""
        from gist_core.training.cotrain.export import export_policy

        export_policy(self.policy.parts, folder, name, version)

    def _price(self, rate: float) -> float:
        """Of the nearest rate that was asked for; nothing before the first."""
        return self.prices[min(self.prices, key=lambda known: abs(known - rate))] if self.prices else 0.0

    def _tokens(self, contexts: Sequence[str], units: Sequence[Sequence[Span]]) -> list[Tensor]:
        """How many of the generator's tokens each unit has, with the space before it."""
        device = self.policy.model.side.device
        sizes = [self._word_sizes.of(c, own) for c, own in zip(contexts, units, strict=True)]
        return [torch.tensor(own, dtype=torch.float32, device=device) for own in sizes]


def settle_prices(objective: SelectiveObjective, contexts: Sequence[Sequence[str]], rates: Sequence[float]) -> None:
    """Dual ascent alone, once the scores stand; each price becomes its mean over the second half of the steps.

    Args:
        objective: Its prices are changed.
        contexts: Of each step.
        rates: The asked rates.
    """
    seen: dict[float, list[float]] = {asked: [] for asked in rates}
    for step, some in enumerate(contexts):
        objective.settle_all(some, [np.random.default_rng([step, i]) for i in range(len(some))], rates)
        for asked in rates:
            seen[asked].append(objective.prices[asked])
    objective.prices |= {asked: float(np.mean(found[len(found) // 2 :])) for asked, found in seen.items() if found}


def _smoothed(scores: np.ndarray, around: int) -> np.ndarray:
    """(U,) means of each score and ``around`` on either side, as far as there are any."""
    window = np.ones(2 * around + 1)
    if len(scores) < len(window):
        return scores
    found: np.ndarray = np.convolve(scores, window, "same") / np.convolve(np.ones(len(scores)), window, "same")
    return found


def _fitting(logits: np.ndarray, tokens: np.ndarray, room: int) -> list[int]:
    """The units of the highest logits that fit together, the highest first."""
    chosen: list[int] = []
    for i in np.argsort(-logits, kind="stable").tolist():
        if tokens[i] <= room:
            chosen.append(i)
            room -= int(tokens[i])
    return chosen


def _rates(frame: Frame, contexts: Sequence[str], gists: Sequence[Sequence[str]]) -> list[float]:
    """Mean share of each context's tokens that its gists have."""
    whole = [max(1, len(ids)) for ids in frame.many(contexts)]
    return [sum(map(len, frame.many(own))) / len(own) / n for own, n in zip(gists, whole, strict=True)]


def _entropy(keep: Sequence[np.ndarray]) -> float:
    p = np.clip(np.concatenate(keep), 1e-6, 1 - 1e-6)
    return float(-(p * np.log(p) + (1 - p) * np.log1p(-p)).mean())
