"""Warm starts by imitation: a writer of the gists that another policy makes, an encoder of what the teacher looks at.

Both are cross-entropies; ``saliency.py`` has the encoder's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from gist_core.passage import Span
from gist_core.training.cotrain.episodes import Episode
from gist_core.training.cotrain.extracts import Extracts
from gist_core.training.cotrain.writer import Writer, Written
from gist_core.training.lm.optimizers import Optimizers, scale_rates, trapezoid
from gist_core.training.precision import mixed_precision
from gist_core.training.processes import average_gradients, average_numbers, mine
from gist_core.training.rewards import masked_mean
from gist_core.training.state import append_row, resume_state, save_state

_SAVE_EVERY = 50
Loss = Callable[[Sequence[Episode]], Tensor]


def imitate(
    learner: nn.Module,
    found: Optimizers,
    loss: Loss,
    draw: Callable[[int], Sequence[Episode]],
    steps: int,
    micro: int,
    out: Path,
) -> None:
    """Train in place.

    Args:
        learner: What is trained.
        found: Its optimizers.
        loss: Episodes -> a scalar, their mean.
        draw: Step number -> its episodes.
        steps: Optimiser steps.
        micro: So many of a step's episodes are held in memory at once.
        out: Folder for ``imitation.jsonl`` and ``imitation.pt``; a run found there goes on.
    """
    out.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(mixed_precision=mixed_precision())
    learner.to(accelerator.device)
    trained = [p for p in learner.parameters() if p.requires_grad]
    parts = {"learner": learner, **{f"optimizer_{i}": optimizer for i, optimizer in enumerate(found)}}
    began = time.monotonic()
    for step in range(resume_state(out / "imitation.pt", parts), steps):
        scale_rates(found, trapezoid(step, steps, 0.05, 0.5))
        value = 0.0
        episodes = mine(accelerator, draw(step))
        for at in range(0, len(episodes), micro):
            some = episodes[at : at + micro]
            with accelerator.autocast():
                part = loss(some) * (len(some) / len(episodes))
            accelerator.backward(part)
            value += float(part.detach())
        average_gradients(accelerator, trained)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        for optimizer in found:
            optimizer.step()
            optimizer.zero_grad()
        row = {"step": step + 1, "seconds": time.monotonic() - began} | average_numbers(accelerator, {"loss": value})
        if not accelerator.is_main_process:
            continue
        append_row(out / "imitation.jsonl", row)
        if (step + 1) % _SAVE_EVERY == 0 or step + 1 == steps:
            save_state(out / "imitation.pt", parts, step + 1)


def gists_loss(
    writer: Writer,
    keep: Callable[[Sequence[str], Sequence[float]], Sequence[Sequence[Sequence[Span]]]],
    rates: Sequence[float],
) -> Loss:
    """Cross-entropy on the words that ``keep`` chooses: of each context the gists of all rates, behind one reading."""

    def loss(episodes: Sequence[Episode]) -> Tensor:
        contexts = [e.context for e in episodes]
        return _cross_entropy(writer, writer.given(contexts, keep(contexts, rates), rates))

    return loss


def extracts_loss(writer: Writer, extracts: Extracts, rates: Sequence[float]) -> Loss:
    """Cross-entropy on the policy's own gists, each behind the extract that the writer reads for it."""

    def loss(episodes: Sequence[Episode]) -> Tensor:
        found = extracts.of([e.context for e in episodes], rates)
        written = [
            writer.given([e.text for e in some], [[e.gist] for e in some], (rate,))
            for rate, some in zip(rates, found, strict=True)
        ]
        return torch.stack([_cross_entropy(writer, own) for own in written]).mean()

    return loss


def _cross_entropy(writer: Writer, written: Written) -> Tensor:
    chosen = writer(written).gather(-1, written.gists[..., None]).squeeze(-1)
    return -masked_mean(chosen, written.of_gist).mean()
