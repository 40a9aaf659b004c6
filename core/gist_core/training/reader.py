"""Train a small extractive reader: the recipe, the step, the schedule, resuming, logging.

A pretrained sentence encoder gets a question-answering head. It has to learn to look from the question to the text,
which takes many steps rather than large ones: so small batches of short windows, of like length in a batch. Left out on
purpose: data-parallel training and early stopping (the log shows the validation loss throughout).
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from gist_core.errors import CheckpointError, InvalidInputError
from gist_core.records import Split
from gist_core.training.precision import mixed_precision
from gist_core.training.reader_examples import READER_MIX, ReaderWindow, WindowBuilder, build_windows
from gist_core.training.state import resume_state, save_state

VALIDATION_MIX = {"nq20_even": 80, "nolicence_squadshifts_new_wiki": 80, "policyqa": 40, "covidqa": 40}
_BUCKET = 16  # batches whose windows are sorted by length together


@dataclass(frozen=True, slots=True)
class ReaderRecipe:
    """Settings of a run; ``steps`` optimiser steps of ``windows_per_step`` windows, 0 for once through the data."""

    steps: int = 0
    windows_per_step: int = 8
    window_tokens: int = 192
    learning_rate: float = 2e-4
    head_learning_rate: float = 1e-3
    warmup: float = 0.06
    clip: float = 1.0
    weight_decay: float = 0.01
    seed: int = 13
    save_every: int = 50


def train_reader(data: Path, out: Path, encoder: Path, recipe: ReaderRecipe) -> Path:
    """Build windows of the train split, fine-tune, save; returns the folder of the checkpoint.

    Args:
        data: Folder with the sets of ``READER_MIX``.
        out: Folder for ``log.jsonl``, ``state.pt`` (a run found there goes on) and ``checkpoint/``.
        encoder: Folder of a pretrained BERT encoder.
        recipe: Settings.

    Raises:
        CheckpointError: The encoder cannot be loaded or is not BERT.
        InvalidInputError: A set is not in the data folder.
    """
    torch.manual_seed(recipe.seed)
    model, tokenizer = _load(encoder)

    def builder(seed: str, excluded: set[Split]) -> WindowBuilder:
        rng = random.Random(f"{recipe.seed}-{seed}")
        return WindowBuilder(tokenizer, rng, recipe.window_tokens, excluded=frozenset(excluded))

    windows = build_windows(data, builder("train", {"validation", "test"}), "train", READER_MIX)
    held = build_windows(data, builder("validation", {"test"}), "validation", VALIDATION_MIX)
    if not windows:
        raise InvalidInputError(
            f"The train split of {str(data)!r} holds no answer to learn.", hint="Name the folder of the sets."
        )
    recipe = replace(recipe, steps=recipe.steps or len(windows) // recipe.windows_per_step)
    draw = batches(windows, recipe.windows_per_step, recipe.seed)
    model = train(model, draw, sorted(held, key=lambda w: len(w.ids)), recipe, out)
    model.save_pretrained(out / "checkpoint")
    tokenizer.model_max_length = recipe.window_tokens  # what it is to be given to read, too
    tokenizer.save_pretrained(out / "checkpoint")
    return out / "checkpoint"


def train(
    model: Any,
    draw: Callable[[int], Sequence[ReaderWindow]],
    held: Sequence[ReaderWindow],
    recipe: ReaderRecipe,
    out: Path,
) -> Any:
    """Train in place and return the model; the arguments are as in ``train_reader``.

    ``draw`` gives the windows of a step and is a pure function of its number, so that a resumed run sees what an
    uninterrupted one sees; dropout is seeded by the step for the same reason.
    """
    out.mkdir(parents=True, exist_ok=True)
    accelerator = Accelerator(mixed_precision=mixed_precision())
    optimizer = _optimizer(model, recipe)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, recipe))
    model, optimizer = accelerator.prepare(model, optimizer)
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    start = resume_state(out / "state.pt", parts)
    began = time.monotonic()
    for step in range(start, recipe.steps):
        torch.manual_seed(recipe.seed * 1_000_003 + step)
        model.train()
        with accelerator.autocast():
            loss = model(**make_batch(draw(step), model.config.pad_token_id, accelerator.device)).loss
        accelerator.backward(loss)
        accelerator.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], recipe.clip)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        row = {"step": step + 1, "seconds": round(time.monotonic() - began, 1), "loss": round(float(loss.detach()), 4)}
        if (step + 1) % recipe.save_every == 0 or step + 1 == recipe.steps:
            row |= _validate(accelerator, model, held, recipe.windows_per_step)
            save_state(out / "state.pt", parts, step + 1)
        with (out / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(row) + "\n")
    (out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=2) + "\n", encoding="utf-8")
    return accelerator.unwrap_model(model).eval()


def batches(windows: Sequence[ReaderWindow], size: int, seed: int) -> Callable[[int], Sequence[ReaderWindow]]:
    """Step number -> its windows, all of like length: a shuffled order, sorted by length within 16 batches."""
    per_epoch = max(1, len(windows) // size)
    orders: dict[int, list[list[int]]] = {}

    def epoch_order(epoch: int) -> list[list[int]]:
        rng = random.Random(f"{seed}-{epoch}")
        order = list(range(len(windows)))
        rng.shuffle(order)
        found = []
        for at in range(0, len(order), size * _BUCKET):
            near = sorted(order[at : at + size * _BUCKET], key=lambda i: len(windows[i].ids))
            found += [near[i : i + size] for i in range(0, len(near), size)]
        rng.shuffle(found)
        return found

    def draw(step: int) -> Sequence[ReaderWindow]:
        epoch, at = divmod(step, per_epoch)
        if epoch not in orders:
            orders.clear()
            orders[epoch] = epoch_order(epoch)
        return [windows[i] for i in orders[epoch][at]]

    return draw


def make_batch(windows: Sequence[ReaderWindow], pad: int, device: torch.device) -> dict[str, Tensor]:
    """Padded tensors (B, L) by the names the model takes; (B,) targets."""
    width = max(len(w.ids) for w in windows)

    def padded(rows: list[list[int]], fill: int) -> Tensor:
        return torch.tensor([row + [fill] * (width - len(row)) for row in rows], device=device)

    return {
        "input_ids": padded([w.ids for w in windows], pad),
        "attention_mask": padded([[1] * len(w.ids) for w in windows], 0),
        "token_type_ids": padded([[0] * w.context_start + [1] * (len(w.ids) - w.context_start) for w in windows], 0),
        "start_positions": torch.tensor([w.start for w in windows], device=device),
        "end_positions": torch.tensor([w.end for w in windows], device=device),
    }


def _load(encoder: Path) -> tuple[Any, Any]:
    try:
        model = AutoModelForQuestionAnswering.from_pretrained(encoder, use_safetensors=True)
        tokenizer = AutoTokenizer.from_pretrained(encoder)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"No encoder at {str(encoder)!r}: {error}", hint="Name a folder or a hub id.") from error
    if model.config.model_type != "bert":
        raise CheckpointError(
            f"{str(encoder)!r} is a {model.config.model_type} model.", hint="Start from a BERT encoder."
        )
    return model, tokenizer


def _optimizer(model: Any, recipe: ReaderRecipe) -> torch.optim.AdamW:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith("bert.embeddings."))
    layers = [p for n, p in model.named_parameters() if p.requires_grad and n.startswith("bert.")]
    head = [p for n, p in model.named_parameters() if not n.startswith("bert.")]
    groups = [{"params": layers, "lr": recipe.learning_rate}, {"params": head, "lr": recipe.head_learning_rate}]
    return torch.optim.AdamW(groups, weight_decay=recipe.weight_decay)


def _rate(step: int, recipe: ReaderRecipe) -> float:
    """Linear warm-up, then linearly down to zero."""
    warm = max(1, int(recipe.warmup * recipe.steps))
    if step < warm:
        return (step + 1) / warm
    return max(0.0, (recipe.steps - step) / max(1, recipe.steps - warm))


@torch.no_grad()
def _validate(accelerator: Accelerator, model: Any, held: Sequence[ReaderWindow], size: int) -> dict[str, float]:
    """Mean loss, and the share of windows where start and end are both right."""
    model.eval()
    total, right = 0.0, 0
    for at in range(0, len(held), size):
        batch = make_batch(held[at : at + size], model.config.pad_token_id, accelerator.device)
        with accelerator.autocast():
            out = model(**batch)
        count = len(batch["start_positions"])
        total += float(out.loss) * count
        hits = out.start_logits.argmax(-1).eq(batch["start_positions"])
        right += int(hits.logical_and(out.end_logits.argmax(-1).eq(batch["end_positions"])).sum())
    return {"validation_loss": round(total / max(len(held), 1), 4), "validation_exact": right / max(len(held), 1)}
