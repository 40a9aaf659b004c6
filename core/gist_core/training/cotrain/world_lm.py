"""The controlled world's own language model: it reads C and L and knows what F can ask for.

A curriculum: first short contexts and futures that ask for everything, even for rumours, from which looking a thing up
is learned in two minutes, then contexts up to the full size, and no rumour asked for. Without the former a writer that
starts from this model could not copy a rumour. The contexts of every length in between make it a reader of gists too.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gist_core.training.cotrain.episodes import Episode
from gist_core.training.cotrain.scoring import Frame, FrameBatch
from gist_core.training.cotrain.world import SEPARATOR, WorldSizes, world_episode, world_tokenizer
from gist_core.training.lm.model import LmShape, build_lm
from gist_core.training.lm.optimizers import optimizers, scale_rates, trapezoid

WORLD_SHAPE = LmShape(width=128, layers=4, heads=4, positions=1_024)  # 0.83 M parameters
_TOKENS = 6_000  # a batch
_FILLER_WEIGHT = 0.15  # of the loss before F, which is mostly chance


@dataclass(frozen=True, slots=True)
class WorldLmRecipe:
    """Settings: ``short`` is the share of the steps before contexts begin to grow, ``grow`` where they are full."""

    steps: int = 500
    short: float = 0.4
    grow: float = 0.75
    matrix_rate: float = 0.02
    rate: float = 0.005
    seed: int = 13


def train_world_lm(sizes: WorldSizes, recipe: WorldLmRecipe, device: torch.device) -> tuple[Any, Any]:
    """(model, tokenizer), trained from nothing."""
    tokenizer = world_tokenizer()
    model = build_lm(WORLD_SHAPE, len(tokenizer), tokenizer.eos_token_id, recipe.seed)
    model.to(device)  # type: ignore[arg-type]  # wrongly typed by transformers
    found = optimizers(model, matrices=recipe.matrix_rate, rest=recipe.rate, weight_decay=0.0)
    frame = Frame(tokenizer, SEPARATOR)
    for step in range(recipe.steps):
        scale_rates(found, trapezoid(step, recipe.steps, 0.05, 0.4))
        episodes = curriculum(step, sizes, recipe)
        loss = sequence_loss(model, frame.batch([e.context for e in episodes], episodes).to(device))
        loss.backward()  # type: ignore[no-untyped-call]  # torch's own
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in found:
            optimizer.step()
            optimizer.zero_grad()
    model.eval()  # type: ignore[no-untyped-call]  # transformers' own
    return model, tokenizer


def curriculum(step: int, sizes: WorldSizes, recipe: WorldLmRecipe) -> Sequence[Episode]:
    """The episodes of a step, about as many tokens each time."""
    rng = random.Random(recipe.seed * 1_000_003 + step)
    done = step / recipe.steps
    growth = min(1.0, max(0.0, (done - recipe.short) / (recipe.grow - recipe.short)))
    short = done < recipe.short or rng.random() < 0.3
    if short:
        facts = rng.randint(3, 6)
        rumours = rng.randint(0, 1)
        told = facts + rumours
        drawn = WorldSizes(4 * told + 1 + rng.randint(0, 40), sizes.local, facts, rumours, told)
    else:
        least = 4 * (sizes.facts + sizes.rumours) + 1
        longest = max(least, int(least + growth * (sizes.context - least)))
        context = rng.choice([longest, rng.randint(least, longest)])
        drawn = WorldSizes(context, sizes.local, sizes.facts, sizes.rumours, sizes.asked)
    count = max(8, _TOKENS // (drawn.context + drawn.local + drawn.future))
    return [world_episode(rng, drawn, rumours_asked=short).episode for _ in range(count)]


def sequence_loss(model: Any, batch: FrameBatch) -> Tensor:
    """Mean next-token loss of the batch in nats, the tokens of F at full weight."""
    positions = (batch.mask.cumsum(dim=1) - 1).clamp(min=0)
    logits = model(input_ids=batch.ids, attention_mask=batch.mask.long(), position_ids=positions).logits
    losses = F.cross_entropy(logits[:, :-1].float().flatten(0, 1), batch.ids[:, 1:].flatten(), reduction="none")
    weight = batch.mask[:, 1:].float()
    weight[:, : -batch.target.shape[1]] *= _FILLER_WEIGHT
    return (losses.view_as(weight) * weight).sum() / weight.sum()
