"""The co-training loop: the policy's step, then the generator's, on the same episodes.

One GPU, many or a CPU through accelerate; bf16 where the hardware has it; a run stopped half-way goes on where it was.
Every draw of chance is a function of seed, step and episode, so resuming changes nothing of what is drawn, nor does the
size of a micro batch, but for what a language model writes: that is drawn by the micro batch. trl's GRPO trainer is not
used: its reward is a function of finished texts, while here the reward model itself is trained between the policy's
steps (``core/decisions/0007``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from gist_core.selective.signals import units_of
from gist_core.training.cotrain.episodes import Draw, Episode
from gist_core.training.cotrain.gists import gist_text, random_mask
from gist_core.training.cotrain.judge import Judge, start_judge
from gist_core.training.cotrain.objective import Objective
from gist_core.training.cotrain.scoring import Frame, future_log_probs
from gist_core.training.cotrain.settings import CotrainSettings
from gist_core.training.lm.optimizers import scale_rates
from gist_core.training.precision import mixed_precision
from gist_core.training.processes import average_gradients, average_numbers, mine
from gist_core.training.rewards import kl, kl_ratio, normalised_gain
from gist_core.training.state import append_row, resume_state, save_state

_SHOWN = 2  # held-out episodes whose gists are logged


@dataclass(frozen=True, slots=True)
class Players:
    """Who takes part: the frozen ``teacher``, the ``generator`` that is trained, the policy's ``objective``."""

    teacher: Any
    generator: Any
    objective: Objective
    frame: Frame


def cotrain(players: Players, draw: Draw, held: Sequence[Episode], settings: CotrainSettings, out: Path) -> None:
    """Train policy and generator in place.

    Args:
        players: Who takes part.
        draw: Step number -> its episodes, a pure function of the number.
        held: Episodes that the validations read, the first of them before the policy's first step.
        settings: Settings.
        out: Folder for ``log.jsonl``, ``state.pt`` (a run found there goes on) and ``best.pt``.
    """
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(players, settings, out)
    for step in range(run.resume(), settings.warm_steps + settings.steps):
        if run.stale >= settings.patience > 0:
            break
        row = run.start(held, step) | run.step(step, draw(step))
        if (step + 1) % settings.save_every == 0 or step + 1 == settings.warm_steps + settings.steps:
            row |= run.validate(held, step)
        run.log(row, step)
    run.take_best()


class _Run:
    """A run in progress."""

    def __init__(self, players: Players, settings: CotrainSettings, out: Path) -> None:
        self.settings, self.out = settings, out
        self.accelerator = Accelerator(mixed_precision=mixed_precision())
        policy, generator = players.objective.policy, players.generator
        trained = [p for p in policy.parameters() if p.requires_grad]
        reading = [p for p in generator.parameters() if p.requires_grad and not settings.frozen_generator]
        self.optimizers = [
            torch.optim.AdamW(parameters, lr=rate, betas=(0.9, 0.95), weight_decay=0.0)
            for parameters, rate in ((trained, settings.policy_rate), (reading, settings.generator_rate))
            if parameters
        ]
        if settings.gradient_checkpointing:
            generator.train()  # transformers recomputes nothing in a model that only infers
            newer = getattr(generator, "activation_checkpointing_enable", None)  # the name from transformers 5.2x on
            (newer or generator.gradient_checkpointing_enable)()
        self.players = players
        self.began = time.monotonic()
        self.best, self.stale = float("inf"), 0
        place = self.accelerator.device
        for module in (policy, generator, players.teacher):
            module.to(place)

    def start(self, held: Sequence[Episode], step: int) -> dict[str, Any]:
        """The validation of the policy as it came, before its first step: what ends worse is not taken."""
        if step != self.settings.warm_steps:
            return {}
        return {f"start_{name}": found for name, found in self.validate(held, step).items() if name != "gists"}

    def step(self, step: int, episodes: Sequence[Episode]) -> dict[str, Any]:
        """One step of the policy, unless the generator still warms up, and one of the generator."""
        warm = step < self.settings.warm_steps
        asked = None if warm else self.settings.asked(step - self.settings.warm_steps)
        every = [(e, np.random.default_rng([self.settings.seed, step, i])) for i, e in enumerate(episodes)]
        own = mine(self.accelerator, every)
        totals: dict[str, float] = {}
        for at in range(0, len(own), self.settings.micro):
            micro, rngs = zip(*own[at : at + self.settings.micro], strict=True)
            for name, value in self._micro(micro, rngs, len(micro) / len(own), asked).items():
                totals[name] = totals.get(name, 0.0) + value
        self._apply(step)
        totals = average_numbers(self.accelerator, totals)
        if asked is not None:
            target = self.settings.target(step - self.settings.warm_steps)
            self.players.objective.settle(asked, totals["rate"], target, totals.pop("gained"))
            totals |= {"asked": asked, "target": target, "price": self.players.objective.prices[asked]}
        return {"step": step + 1, "seconds": time.monotonic() - self.began, "warm": warm, **totals}

    def _micro(
        self, episodes: Sequence[Episode], rngs: Sequence[np.random.Generator], share: float, asked: float | None
    ) -> dict[str, float]:
        players = self.players
        with self.accelerator.autocast():
            judge = start_judge(players.teacher, players.generator, players.frame, episodes)
        found = {"kl_local": share * float(judge.kl_local.mean())}
        sampled: list[list[str]] = [[] for _ in episodes]
        if asked is not None:
            with self.accelerator.autocast():
                outcome = players.objective.draw(episodes, judge, rngs, asked)
            self.accelerator.backward(outcome.loss * share)
            sampled = [gists[:1] for gists in outcome.gists]
            found |= {"rate": share * float(np.mean(outcome.rates)), "entropy": share * outcome.entropy}
            found |= {"gained": share * outcome.gained}
        if not self.settings.frozen_generator:
            with self.accelerator.autocast():
                loss, of_policy = self._reading(judge, sampled, rngs)
            self.accelerator.backward(loss * share)
            found |= {"generator_kl": share * float(loss.detach())}
            if asked is not None:
                found |= {"kl": share * of_policy}
        return found

    def _reading(
        self, judge: Judge, sampled: list[list[str]], rngs: Sequence[np.random.Generator]
    ) -> tuple[Tensor, float]:
        """KL of the generator on a policy's gist of each episode, and on a random one; the KL of the former alone."""
        texts = [t for own in sampled for t in own]
        owners = [i for i, own in enumerate(sampled) for _ in own]
        for i, (episode, rng) in enumerate(zip(judge.episodes, rngs, strict=True)):
            units = [s.span for s in units_of(episode.context, "word")]
            texts.append(gist_text(episode.context, units, random_mask(rng, units)))
            owners.append(i)
        batch = self.players.frame.batch(texts, [judge.episodes[i] for i in owners]).to(judge.teacher.device)
        found = kl(judge.teacher[owners], future_log_probs(self.players.generator, batch), batch.real)
        policy_count = len(texts) - len(judge.episodes)
        return found.mean(), float(found[:policy_count].detach().mean()) if policy_count else 0.0

    def _apply(self, step: int) -> None:
        total = self.settings.warm_steps + self.settings.steps
        factor = min(1.0, (step + 1) / 10, (total - step) / (0.7 * total))
        for optimizer in self.optimizers:
            scale_rates((optimizer,), factor)
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            average_gradients(self.accelerator, parameters)
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()

    @torch.no_grad()
    def validate(self, held: Sequence[Episode], step: int) -> dict[str, Any]:
        """What the policy's best gists at the asked rate come to on held-out episodes; remembers the best."""
        players, gists, kls, local = self.players, [], [], []
        for at in range(0, len(held), self.settings.micro):
            some = held[at : at + self.settings.micro]
            judge = start_judge(players.teacher, players.generator, players.frame, some)
            texts = players.objective.best([e.context for e in some], self.settings.middle)
            kls.append(judge.divergences(texts, range(len(some))))
            local.append(judge.kl_local)
            gists += texts
        with_gist, alone = torch.cat(kls), torch.cat(local)
        sizes = [
            len(a) / max(1, len(b))
            for a, b in zip(*map(players.frame.many, (gists, [e.context for e in held])), strict=True)
        ]
        if step >= self.settings.warm_steps:
            self._remember(float(with_gist.mean()))
        return {
            "held_kl": float(with_gist.mean()),
            "held_kl_local": float(alone.mean()),
            "held_kl_ratio": float(kl_ratio(alone, with_gist)),
            "held_normalised_gain": float(normalised_gain(alone - with_gist, alone)),
            "held_rate": float(np.mean(sizes)),
            "gists": gists[:_SHOWN],
        }

    def _remember(self, found: float) -> None:
        if found >= self.best:
            self.stale += 1
            return
        self.best, self.stale = found, 0
        if self.accelerator.is_main_process:
            save_state(self.out / "best.pt", self._models(), 0)

    def log(self, row: dict[str, Any], step: int) -> None:
        """Write the row and, where it holds a validation, the state."""
        if not self.accelerator.is_main_process:
            return
        if "held_kl" in row:
            save_state(self.out / "state.pt", self._models() | self._rest(), step + 1)
        append_row(self.out / "log.jsonl", row)

    def resume(self) -> int:
        """How many steps were done."""
        return resume_state(self.out / "state.pt", self._models() | self._rest())

    def take_best(self) -> None:
        """Go back to the best of the validations."""
        self.accelerator.wait_for_everyone()
        if (self.out / "best.pt").exists():
            resume_state(self.out / "best.pt", self._models())

    def _models(self) -> dict[str, Any]:
        objective = self.players.objective
        return {"policy": objective.policy, "generator": self.players.generator, "prices": _Prices(objective)}

    def _rest(self) -> dict[str, Any]:
        optimizers = {f"optimizer_{i}": optimizer for i, optimizer in enumerate(self.optimizers)}
        return {**optimizers, "best": _Best(self)}


@dataclass(frozen=True, slots=True)
class _Prices:
    """The prices of an objective as a part of the state."""

    objective: Objective

    def state_dict(self) -> dict[float, float]:
        return dict(self.objective.prices)

    def load_state_dict(self, state: dict[float, float]) -> None:
        self.objective.prices = dict(state)


@dataclass(frozen=True, slots=True)
class _Best:
    """What the validations found so far, as a part of the state."""

    run: _Run

    def state_dict(self) -> dict[str, float]:
        return {"best": self.run.best, "stale": self.run.stale}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.run.best, self.run.stale = state["best"], int(state["stale"])
