"""The steps of a run that learns from examples: schedule, clipping, log, validation, going on after a stop."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from gist_core.training.examples import Example
from gist_core.training.state import resume_state, save_state

Losses = Callable[[Sequence[Example]], dict[str, Tensor]]
Draw = Callable[[int], Sequence[Example]]


@dataclass(frozen=True, slots=True)
class Pace:
    """``steps`` optimiser steps of ``examples_per_step`` questions; rates rise over ``warmup`` and fall as a cosine."""

    steps: int = 1_500
    examples_per_step: int = 16
    warmup: float = 0.06
    clip: float = 1.0
    seed: int = 13
    save_every: int = 100


@dataclass(frozen=True, slots=True)
class Data:
    """``examples`` gives those of a step, and is a pure function of its number, so that a resumed run sees what an

    uninterrupted one sees; the loss of ``validation`` is logged at every save.
    """

    examples: Draw
    validation: Sequence[Example]


def take_steps(
    pace: Pace,
    data: Data,
    trainee: nn.Module,
    optimizer: torch.optim.Optimizer,
    losses: Losses,
    out: Path,
    *,
    accelerator: Accelerator,
    more: Mapping[str, Any] | None = None,
    after: Callable[[], None] = lambda: None,
) -> None:
    """Train in place.

    Args:
        pace: Settings; written to ``out/recipe.json`` at the end.
        data: What is read.
        trainee: Prepared by the accelerator, as the optimizer is.
        optimizer: Over what is trained of it.
        losses: Examples -> parts of the loss, which are added up.
        out: Folder for ``log.jsonl`` and ``state.pt``; a run found there is resumed.
        accelerator: Of the run.
        more: Whose state is kept as well, by name.
        after: Called after every step.
    """
    out.mkdir(parents=True, exist_ok=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, pace))
    held = [data.validation[i : i + 16] for i in range(0, len(data.validation), 16)]
    state = {"trainee": trainee, "optimizer": optimizer, "schedule": schedule, **(more or {})}
    start = resume_state(out / "state.pt", state)
    began = time.monotonic()
    for step in range(start, pace.steps):
        with accelerator.autocast():
            parts = losses(data.examples(step))
        accelerator.backward(sum(parts.values()))
        accelerator.clip_grad_norm_([p for p in trainee.parameters() if p.requires_grad], pace.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        after()
        row = {"step": step + 1, "seconds": round(time.monotonic() - began, 1)}
        row |= {k: round(float(v.detach()), 4) for k, v in parts.items()}
        if (step + 1) % pace.save_every == 0 or step + 1 == pace.steps:
            row |= _validate(accelerator, losses, held)
            save_state(out / "state.pt", state, step + 1)
        with (out / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(row) + "\n")
    (out / "recipe.json").write_text(json.dumps(asdict(pace), indent=2) + "\n", encoding="utf-8")


def _rate(step: int, pace: Pace) -> float:
    warm = max(1, int(pace.warmup * pace.steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, pace.steps - warm)))


@torch.no_grad()
def _validate(accelerator: Accelerator, losses: Losses, held: Sequence[Sequence[Example]]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for examples in held:
        with accelerator.autocast():
            for name, value in losses(examples).items():
                totals[name] = totals.get(name, 0.0) + float(value) / len(held)
    return {f"validation_{k}": round(v, 4) for k, v in totals.items()}
