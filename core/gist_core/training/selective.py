"""Fine-tune the interaction branch: the step, the schedule, resuming, logging. One GPU or CPU through accelerate.

Left out on purpose: data-parallel training (the whole run takes about an hour on two CPU cores) and early
stopping (the shipped checkpoint is the last one; the log shows validation loss throughout). The shared
layers and the embedding branch stay frozen, so the cosines stay those of the pretrained encoder.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from gist_core.selective.model import SelectiveModel
from gist_core.selective.pooling import pool_logits
from gist_core.selective.signals import Special
from gist_core.training.batches import TrainingBatch, make_batch
from gist_core.training.examples import Example
from gist_core.training.losses import ranking_loss, token_loss, unit_loss, unit_targets

TRAINED = ("interaction_branch", "side", "keep_head", "relevance_head")


@dataclass(frozen=True, slots=True)
class SelectiveRecipe:
    """Settings of a run; ``steps`` optimiser steps of ``examples_per_step`` questions."""

    steps: int = 1_500
    examples_per_step: int = 16
    learning_rate: float = 1e-4
    head_learning_rate: float = 5e-4
    warmup: float = 0.06
    pull: float = 1e-4  # share of the way back to the initial weights, each step
    clip: float = 1.0
    seed: int = 13
    save_every: int = 100


def losses(model: SelectiveModel, batch: TrainingBatch) -> dict[str, Tensor]:
    """Forward pass and the four parts of the loss of one step."""
    device = model.side.device
    with torch.no_grad():
        query_mask = batch.query_mask.to(device)
        queries = model.encode_windows(batch.query_ids.to(device), query_mask)
    keep, relevance, relevant, labels, units = [], [], [], [], []
    for chunk in batch.chunks:
        mask, question = chunk.mask.to(device), chunk.question.to(device)
        with torch.no_grad():
            shared = model.encode_windows(chunk.ids.to(device), mask)
        logits, rel = model.interact(queries[question], query_mask[question], shared, mask)
        keep.append(logits[chunk.real.to(device)].float())
        relevance.append(rel.float())
        relevant.append(chunk.relevant.to(device))
        labels.append(chunk.labels.to(device))
        units.append(chunk.unit.to(device))
    return _parts(batch, *(torch.cat(x) for x in (keep, relevance, relevant, labels, units)))


def _parts(
    batch: TrainingBatch, keep: Tensor, relevance: Tensor, relevant: Tensor, labels: Tensor, unit: Tensor
) -> dict[str, Tensor]:
    question, window = batch.unit_question.to(keep.device), batch.unit_window.to(keep.device)
    count = len(question)
    scores, targets = pool_logits(keep, unit, count), unit_targets(labels, unit, count)
    return {
        "token": token_loss(keep, labels),
        "unit": unit_loss(scores, targets),
        "rank": ranking_loss(scores + relevance[window], targets, question, len(batch.query_ids)),
        "relevance": torch.nn.functional.binary_cross_entropy_with_logits(relevance, relevant),
    }


def train(
    model: SelectiveModel,
    examples: Callable[[int], Sequence[Example]],
    validation: Sequence[Example],
    special: Special,
    recipe: SelectiveRecipe,
    out: Path,
) -> SelectiveModel:
    """Train in place and return the model.

    Args:
        model: Start, usually ``from_pretrained_encoder``.
        examples: Step number -> its examples; must be a pure function of the number, so that a resumed
            run sees what an uninterrupted one sees.
        validation: Examples whose loss is logged at every save.
        special: Framing token ids.
        recipe: Settings.
        out: Folder for ``log.jsonl`` and ``state.pt``; a run found there is resumed.
    """
    out.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(mixed_precision="bf16")
    optimizer = _optimizer(model, recipe)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, recipe))
    model, optimizer = accelerator.prepare(model, optimizer)
    anchors = {n: p.detach().clone() for n, p in model.named_parameters() if n.startswith("interaction_branch")}
    held = [make_batch(validation[i : i + 16], special) for i in range(0, len(validation), 16)]
    start = _resume(out / "state.pt", model, optimizer, schedule, anchors)
    began = time.monotonic()
    for step in range(start, recipe.steps):
        with accelerator.autocast():
            parts = losses(model, make_batch(examples(step), special))
        accelerator.backward(sum(parts.values()))
        accelerator.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], recipe.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        _pull(model, anchors, recipe.pull)
        row = {"step": step + 1, "seconds": round(time.monotonic() - began, 1)}
        row |= {k: round(float(v.detach()), 4) for k, v in parts.items()}
        if (step + 1) % recipe.save_every == 0 or step + 1 == recipe.steps:
            row |= _validate(accelerator, model, held)
            _save(out / "state.pt", model, optimizer, schedule, anchors, step + 1)
        with (out / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(row) + "\n")
    (out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=2) + "\n", encoding="utf-8")
    unwrapped: SelectiveModel = accelerator.unwrap_model(model)
    return unwrapped


def _optimizer(model: SelectiveModel, recipe: SelectiveRecipe) -> torch.optim.AdamW:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.split(".")[0] in TRAINED)
    layers = [p for n, p in model.named_parameters() if n.startswith("interaction_branch")]
    heads = [p for n, p in model.named_parameters() if p.requires_grad and not n.startswith("interaction_branch")]
    groups = [{"params": layers, "lr": recipe.learning_rate}, {"params": heads, "lr": recipe.head_learning_rate}]
    return torch.optim.AdamW(groups, weight_decay=0.0, betas=(0.9, 0.98))


def _rate(step: int, recipe: SelectiveRecipe) -> float:
    warm = max(1, int(recipe.warmup * recipe.steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, recipe.steps - warm)))


@torch.no_grad()
def _pull(model: torch.nn.Module, anchors: dict[str, Tensor], share: float) -> None:
    for name, parameter in model.named_parameters():
        if name in anchors:
            parameter.lerp_(anchors[name], share)


@torch.no_grad()
def _validate(accelerator: Accelerator, model: SelectiveModel, held: list[TrainingBatch]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for batch in held:
        with accelerator.autocast():
            for name, value in losses(model, batch).items():
                totals[name] = totals.get(name, 0.0) + float(value) / len(held)
    return {f"validation_{k}": round(v, 4) for k, v in totals.items()}


def _save(path: Path, model: SelectiveModel, optimizer: object, schedule: object, anchors: object, step: int) -> None:
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),  # type: ignore[attr-defined]  # accelerate wraps the type away
        "schedule": schedule.state_dict(),  # type: ignore[attr-defined]  # as above
        "anchors": anchors,
        "step": step,
    }
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


def _resume(path: Path, model: SelectiveModel, optimizer: object, schedule: object, anchors: dict[str, Tensor]) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])  # type: ignore[attr-defined]  # accelerate wraps the type away
    schedule.load_state_dict(state["schedule"])  # type: ignore[attr-defined]  # as above
    anchors.update(state["anchors"])
    return int(state["step"])


def sampler(pools: dict[str, list[Example]], rng_seed: int, per_step: int) -> Callable[[int], Sequence[Example]]:
    """A fixed shuffled order over all pools, cut into steps; starts over with a new order when used up."""
    everything = [e for name in sorted(pools) for e in pools[name]]

    def step(number: int) -> Sequence[Example]:
        first = number * per_step
        epoch, at = divmod(first, max(len(everything), 1))
        order = list(range(len(everything)))
        random.Random(f"{rng_seed}-{epoch}").shuffle(order)
        order += order[:per_step]
        return [everything[i] for i in order[at : at + per_step]]

    return step
