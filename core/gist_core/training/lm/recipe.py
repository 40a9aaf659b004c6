"""``gist train lm``: a tokenizer and a language model from nothing but text.

One GPU, many or a CPU through accelerate; a run stopped half-way goes on where it was. Left out on purpose: dropout and
early stopping, since a run that fits the machines this is for never sees its corpus more than a few times.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from gist_core.errors import InvalidInputError
from gist_core.training.lm.bpe import train_bpe
from gist_core.training.lm.corpus import Document, read_corpus
from gist_core.training.lm.model import LmShape, build_lm
from gist_core.training.lm.optimizers import optimizers, scale_rates, trapezoid
from gist_core.training.lm.windows import Windows, drawn, echoes, pack
from gist_core.training.precision import mixed_precision
from gist_core.training.state import append_row, resume_state, save_state

CHECKPOINT = "checkpoint"
_TOKENIZER_TEXTS = 3_000  # enough to learn a few thousand merges from


@dataclass(frozen=True, slots=True)
class LmRecipe:
    """Settings of a run: ``steps`` optimiser steps of ``batch`` windows of ``length`` tokens.

    Between the shares ``echo`` of the steps, half of the windows are cut into short ones and echo
    (``windows.echoes``), and only their second halves are learned: with the first halves in the loss, looking up was
    not found within 100 steps, without them it was within 90.
    """

    shape: LmShape = field(default_factory=LmShape)
    vocabulary: int = 4_096
    length: int = 704
    steps: int = 1_000
    batch: int = 8
    matrix_rate: float = 0.02
    rate: float = 0.004
    warmup: float = 0.02
    cooldown: float = 0.2
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 13
    echo: tuple[float, float] = (0.6, 0.8)
    save_every: int = 100
    held_windows: int = 48


def train_lm(data: Path, out: Path, recipe: LmRecipe) -> Path:
    """Train on the train side of a corpus; returns the checkpoint, a folder as transformers writes it.

    Args:
        data: What ``read_corpus`` reads.
        out: Folder for ``tokenizer/``, ``log.jsonl``, ``state.pt`` (a run found there goes on) and ``checkpoint/``.
        recipe: Settings.

    Raises:
        InvalidInputError: There is not enough text for a single window on either side.
    """
    out.mkdir(parents=True, exist_ok=True)
    train, held = (read_corpus(data, split) for split in ("train", "validation"))
    tokenizer = _tokenizer(train, out / "tokenizer", recipe)
    windows, held_windows = (_packed(side, tokenizer, recipe) for side in (train, held))
    model = build_lm(recipe.shape, len(tokenizer), tokenizer.eos_token_id, recipe.seed)
    chosen = np.random.default_rng(recipe.seed).permutation(len(held_windows))[: recipe.held_windows]
    _loop(model, windows, held_windows[chosen], recipe, out)
    model.save_pretrained(out / CHECKPOINT)
    tokenizer.save_pretrained(out / CHECKPOINT)
    (out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=2) + "\n", encoding="utf-8")
    return out / CHECKPOINT


def _tokenizer(train: list[Document], folder: Path, recipe: LmRecipe) -> PreTrainedTokenizerFast:
    if not folder.exists():
        order = np.random.default_rng(recipe.seed).permutation(len(train))[:_TOKENIZER_TEXTS]
        train_bpe((train[i].text for i in order), recipe.vocabulary).save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)  # type: ignore[no-any-return]


def _packed(documents: list[Document], tokenizer: PreTrainedTokenizerFast, recipe: LmRecipe) -> Windows:
    windows = pack([d.text for d in documents], tokenizer, recipe.length)
    if not len(windows):
        raise InvalidInputError(
            f"The corpus holds less than {recipe.length} tokens on one side of its split.",
            hint="Give more documents, or a shorter length.",
        )
    return windows


def _loop(model: Any, windows: Windows, held: Windows, recipe: LmRecipe, out: Path) -> None:
    accelerator = Accelerator(mixed_precision=mixed_precision())
    found = optimizers(model, matrices=recipe.matrix_rate, rest=recipe.rate, weight_decay=recipe.weight_decay)
    net, *found_list = accelerator.prepare(model, *found)
    found = tuple(found_list)
    parts = {"model": accelerator.unwrap_model(net), "muon": found[0], "adam": found[1]}
    began = time.monotonic()
    for step in range(resume_state(out / "state.pt", parts), recipe.steps):
        scale_rates(found, trapezoid(step, recipe.steps, recipe.warmup, recipe.cooldown))
        rows = drawn(len(windows), recipe.batch, recipe.seed, step)[
            accelerator.process_index :: accelerator.num_processes
        ]
        seen = _seen(windows[rows], recipe, step)
        loss = torch.zeros(())
        for arrays in seen:
            ids, labels = (torch.from_numpy(array).to(accelerator.device) for array in arrays)
            with accelerator.autocast():
                part = net(input_ids=ids, labels=labels).loss / len(seen)
            accelerator.backward(part)
            loss += part.detach().cpu()
        accelerator.clip_grad_norm_(net.parameters(), recipe.clip)
        for optimizer in found:
            optimizer.step()
            optimizer.zero_grad()
        row: dict[str, Any] = {"step": step + 1, "seconds": time.monotonic() - began, "loss": float(loss)}
        last = step + 1 == recipe.steps
        if last or (step + 1) % recipe.save_every == 0:
            row |= _validate(accelerator, net, held, recipe)
            if accelerator.is_main_process:
                save_state(out / "state.pt", parts, step + 1)
        if accelerator.is_main_process:
            append_row(out / "log.jsonl", row)


def _seen(rows: Windows, recipe: LmRecipe, step: int) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The windows of a step as they are read, those of one length together, with labels; -100 is not to be learned."""
    first, last = (share * recipe.steps for share in recipe.echo)
    half = len(rows) // 2
    if not first <= step < last or not half:
        whole = rows.astype(np.int64)
        return [(whole, whole)]
    plain = rows[half:].astype(np.int64)
    echoing = echoes(rows[:half], np.random.default_rng([recipe.seed, step])).astype(np.int64)
    labels = echoing.copy()
    labels[:, : labels.shape[1] // 2] = -100
    return [(plain, plain), (echoing, labels)]


@torch.no_grad()
def _validate(accelerator: Accelerator, net: Any, held: Windows, recipe: LmRecipe) -> dict[str, float]:
    """Held-out nats per token, over whole windows and over their last quarter, where the most context is seen."""
    net.eval()
    early, late = [], []
    for at in range(0, len(held), recipe.batch):
        ids = torch.from_numpy(held[at : at + recipe.batch].astype(np.int64)).to(accelerator.device)
        with accelerator.autocast():
            logits = net(input_ids=ids).logits
        losses = torch.nn.functional.cross_entropy(
            logits[:, :-1].float().flatten(0, 1), ids[:, 1:].flatten(), reduction="none"
        )
        losses = losses.view(len(ids), -1)
        early.append(float(losses.mean()) * len(ids))
        late.append(float(losses[:, -recipe.length // 4 :].mean()) * len(ids))
    net.train()
    loss = sum(early) / len(held)
    return {"held_loss": loss, "held_late_loss": sum(late) / len(held), "held_perplexity": math.exp(loss)}
