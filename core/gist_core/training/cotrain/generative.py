"""The generative policy's side of co-training: groups of sampled gists, compared within each context (GRPO)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gist_core.generative.guard import Source
from gist_core.training.cotrain.episodes import Episode
from gist_core.training.cotrain.extracts import Extracts
from gist_core.training.cotrain.judge import Judge
from gist_core.training.cotrain.objective import Outcome, price_change
from gist_core.training.cotrain.writer import Writer, Written, next_log_probs
from gist_core.training.rewards import advantages, length_cost, masked_mean, reward

_INVENTED = 0.1  # what a value that the context lacks costs, as a share of what the whole context gains
_ROOM = 2.5  # how much longer than asked a sampled gist may become before it is cut off


def invention_cost(judge: Judge, gists: Sequence[str], owners: Sequence[int]) -> Tensor:
    """(N,) what the values cost, in nats per token of F, that a gist has and the guard does not find in its context."""
    sources = [Source(e.context) for e in judge.episodes]
    found = [len(sources[owner].unfounded(gist)) for gist, owner in zip(gists, owners, strict=True)]
    return _INVENTED * judge.kl_local[list(owners)] * judge.kl_local.new_tensor(found)


class GenerativeObjective:
    """Gists written by a causal LM.

    The score-function gradient with the group's mean as baseline and its deviation as scale (GRPO, arXiv 2402.03300;
    one update for each sample, so no ratio to clip), and a leash: the KL, over all tokens, to the policy it started
    from. A value that the guard would cut costs something too: that nobody asks for it is no reason to invent it.
    ``prices`` are in nats per token of F for a gist as long as its context.

    Args:
        policy: Writes.
        rates: Shares of C's tokens that are asked for, also where a checkpoint of it is used.
        extracts: What it reads of C; None where it reads everything.
        samples: Gists of each context.
        leash: Weight of the KL to the starting policy.
    """

    def __init__(
        self,
        policy: Writer,
        rates: Sequence[float],
        extracts: Extracts | None = None,
        samples: int = 8,
        leash: float = 0.05,
    ) -> None:
        self._policy, self.rates, self.extracts = policy, tuple(rates), extracts
        self.samples, self.leash = samples, leash
        self.prices: dict[float, float] = {}
        self._start: Any = copy.deepcopy(policy.lm).eval().requires_grad_(False)  # noqa: FBT003 - torch's own signature

    @property
    def policy(self) -> Writer:
        """As ``Objective.policy``."""
        return self._policy

    def draw(
        self, episodes: Sequence[Episode], judge: Judge, rngs: Sequence[np.random.Generator], asked: float
    ) -> Outcome:
        """As ``Objective.draw``; chance is seeded by the first episode's generator."""
        torch.manual_seed(int(rngs[0].integers(2**31)))
        owners = [i for i in range(len(episodes)) for _ in range(self.samples)]
        contexts = [e.context for e in episodes]
        tokens = [len(ids) for ids in self.policy.frame.many(contexts)]
        whole = torch.tensor(tokens, dtype=torch.float32)[owners]
        most = int(_ROOM * asked * max(tokens)) + 1
        written = self._written(contexts, asked, [int(asked * own) for own in tokens], most, self.samples)
        sizes = torch.tensor([float(len(ids)) for ids in self.policy.frame.many(written.texts)])
        gained = judge.gains(written.texts, owners)
        price = self.prices.get(asked, 0.0)
        rewards = reward(
            gained, length_cost(sizes, whole, price).to(gained) + invention_cost(judge, written.texts, owners)
        )
        loss, entropy = self._loss(written, rewards.view(len(episodes), self.samples))
        texts = [written.texts[i * self.samples : (i + 1) * self.samples] for i in range(len(episodes))]
        rates = (sizes / whole).view(len(episodes), self.samples).mean(dim=1)
        return Outcome(loss, texts, rates.tolist(), entropy, float(gained.abs().mean()))

    def _loss(self, written: Written, rewards: Tensor) -> tuple[Tensor, float]:
        log_probs = self.policy(written)
        with torch.no_grad():
            start = next_log_probs(self._start, written)
        chosen = (log_probs.gather(-1, written.gists[..., None]).squeeze(-1) * written.of_gist).sum(dim=-1)
        p = log_probs.exp()
        drift = masked_mean((p * (log_probs - start)).sum(dim=-1), written.of_gist)
        entropy = masked_mean(-(p * log_probs).sum(dim=-1), written.of_gist)
        mean_length = written.of_gist.sum(dim=-1).float().mean()
        gradient = -(advantages(rewards).flatten() * chosen).mean() / mean_length
        return gradient + self.leash * drift.mean(), float(entropy.detach().mean())

    def best(self, contexts: Sequence[str], rate: float) -> list[str]:
        """As ``Objective.best``: greedy, cut off at the rate's tokens."""
        room = [int(rate * len(ids)) for ids in self.policy.frame.many(contexts)]
        written = self._written(contexts, rate, room, max(1, *room))
        return [self._cut(text, most) for text, most in zip(written.texts, room, strict=True)]

    def settle(self, asked: float, found: float, target: float, gained: float) -> None:
        """As ``Objective.settle``."""
        self.prices[asked] = self.prices.get(asked, 0.0) + price_change(found, target) * gained

    def export(self, folder: Any, name: str, version: str) -> None:
        """As ``Objective.export``."""
        from gist_core.training.cotrain.export import export_writer

        export_writer(self.policy, self.rates, self.extracts, folder, name, version)

    def _written(
        self, contexts: Sequence[str], rate: float, rooms: Sequence[int], most: int, samples: int = 0
    ) -> Written:
        read = contexts if self.extracts is None else [e.text for e in self.extracts.of(contexts, (rate,))[0]]
        return self.policy.write(read, [rate] * len(contexts), rooms, most, samples)

    def _cut(self, text: str, most: int) -> str:
        words = text.split(" ")
        while words and len(self.policy.frame.ids(" ".join(words))) > most:
            words.pop()
        return " ".join(words)
