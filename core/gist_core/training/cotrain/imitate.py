"""The generative policy's warm start: it learns to write what a selective policy keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator

from gist_core.training.cotrain.episodes import Episode
from gist_core.training.cotrain.writer import Writer
from gist_core.training.lm.optimizers import optimizers, scale_rates, trapezoid
from gist_core.training.precision import mixed_precision
from gist_core.training.rewards import masked_mean
from gist_core.training.state import append_row, resume_state, save_state

Keep = Callable[[Sequence[str]], Sequence[str]]


def imitate(
    writer: Writer, keep: Keep, draw: Callable[[int], Sequence[Episode]], steps: int, rate: float, out: Path
) -> None:
    """Cross-entropy on the gists that ``keep`` makes of each step's contexts; trains the writer in place.

    Args:
        writer: Learns.
        keep: Contexts -> gists to imitate.
        draw: Step number -> its episodes.
        steps: Optimiser steps.
        rate: Learning rate of embeddings and norms; the matrices' is four times as high, with Muon.
        out: Folder for ``imitation.jsonl`` and ``imitation.pt``; a run found there goes on.
    """
    out.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(mixed_precision=mixed_precision())
    writer.to(accelerator.device)
    found = optimizers(writer, matrices=4 * rate, rest=rate, weight_decay=0.0)
    parts = {"writer": writer, **dict(zip(("muon", "adam"), found, strict=False))}
    for step in range(resume_state(out / "imitation.pt", parts), steps):
        scale_rates(found, trapezoid(step, steps, 0.05, 0.5))
        contexts = [e.context for e in draw(step)]
        written = writer.given(contexts, keep(contexts))
        with accelerator.autocast():
            log_probs = writer(written)
        target = written.ids[:, -written.of_gist.shape[1] :]
        loss = -masked_mean(log_probs.gather(-1, target[..., None]).squeeze(-1), written.of_gist).mean()
        accelerator.backward(loss)
        torch.nn.utils.clip_grad_norm_(writer.parameters(), 1.0)
        for optimizer in found:
            optimizer.step()
            optimizer.zero_grad()
        append_row(out / "imitation.jsonl", {"step": step + 1, "loss": float(loss.detach())})
        if (step + 1) % 50 == 0 or step + 1 == steps:
            save_state(out / "imitation.pt", parts, step + 1)
