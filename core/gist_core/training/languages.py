"""``gist train languages``: a checkpoint that reads English learns other languages, and reads English as before.

Characters that the vocabulary lacks get embeddings, the layers low-rank changes, the heads copies of their own
(``selective.foreign``); all else is frozen.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from tokenizers import Tokenizer
from torch import Tensor, nn

from gist_core.records import Split, read_records, split_of
from gist_core.selective.engine import Parts
from gist_core.selective.foreign import Foreign, with_pieces
from gist_core.selective.model import SelectiveModel
from gist_core.selective.pooling import pool_logits
from gist_core.selective.signals import Special, special_ids, title_room
from gist_core.training.adapting import adapt, adapted, characters_missing
from gist_core.training.batches import make_batch
from gist_core.training.examples import Example, ExampleBuilder
from gist_core.training.mix import LANGUAGES_MIX, build_examples
from gist_core.training.mixture import Mixture
from gist_core.training.precision import mixed_precision
from gist_core.training.reading import read_batch
from gist_core.training.selective import reading_losses, sampler
from gist_core.training.steps import Data, Pace, take_steps

VALIDATION_MIX = {"xquad": 48, "jaquad": 40, "cmrc2018": 40}
PIECES = 2_000  # characters; of those of the mix's texts that the vocabulary lacks, 94 to 99 % are these


@dataclass(frozen=True, slots=True)
class LanguagesRecipe(Pace):
    """Settings of a run; ``steps`` of 0 means once through the mix."""

    learning_rate: float = 1e-3
    head_learning_rate: float = 5e-4
    character_learning_rate: float = 5e-3
    mixture_learning_rate: float = 5e-3


class Learner(nn.Module):
    """The adapted model, and how its unit scores are mixed with word overlap while it learns."""

    def __init__(self, model: SelectiveModel, mixed: Mixture) -> None:
        super().__init__()
        self.model = model
        self.mixture = mixed


def train_languages(data: Path, out: Path, start: Parts, recipe: LanguagesRecipe) -> Foreign:
    """Learn from the train split of ``LANGUAGES_MIX``; ``start`` stays as it is.

    Where it reads other languages already, that is gone on from, with the pieces and the rank that it has.
    """
    torch.manual_seed(recipe.seed)
    pieces = start.foreign.pieces if start.foreign else _pieces(data, start.tokenizer)
    model = adapt(copy.deepcopy(start.model), start.tokenizer, pieces, start.foreign)
    tokenizer = with_pieces(start.tokenizer, pieces)
    config = model.config

    def builder(seed: str, excluded: set[Split]) -> ExampleBuilder:
        return ExampleBuilder(
            tokenizer,
            config.window_tokens,
            config.query_tokens,
            random.Random(f"{recipe.seed}-{seed}"),
            title_tokens=title_room(config),
            windows_per_example=4,
            query_free=0.0,
            excluded=frozenset(excluded),
        )

    pools = build_examples(data, builder("train", {"validation", "test"}), "train", LANGUAGES_MIX)
    held = build_examples(data, builder("validation", {"test"}), "validation", VALIDATION_MIX)
    recipe = replace(recipe, steps=recipe.steps or sum(map(len, pools.values())) // recipe.examples_per_step)
    draw = sampler(pools, recipe.seed, recipe.examples_per_step)
    learner = Learner(model, Mixture(start.ratings["foreign"].fusion))
    _fit(learner, Data(draw, [e for pool in held.values() for e in pool]), special_ids(tokenizer), recipe, out)
    return adapted(model, pieces)


def _fit(learner: Learner, data: Data, special: Special, recipe: LanguagesRecipe, out: Path) -> None:
    accelerator = Accelerator(mixed_precision=mixed_precision())
    learner, optimizer = accelerator.prepare(learner, _optimizer(learner, recipe))
    learner.train()
    take_steps(
        recipe, data, learner, optimizer, lambda some: _losses(learner, special, some), out, accelerator=accelerator
    )


def _losses(learner: Learner, special: Special, examples: Sequence[Example]) -> dict[str, Tensor]:
    batch = make_batch(examples, special)
    read = read_batch(learner.model, batch)
    scores = pool_logits(read.keep, read.unit, len(read.question))
    return reading_losses(read, batch, scores, learner.mixture(read.signals(scores)))


def _optimizer(learner: Learner, recipe: LanguagesRecipe) -> torch.optim.AdamW:
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in learner.named_parameters():
        if parameter.requires_grad:
            groups.setdefault(_rate_of(name, recipe), []).append(parameter)
    settings = [{"params": some, "lr": rate} for rate, some in groups.items()]
    return torch.optim.AdamW(settings, weight_decay=0.0, betas=(0.9, 0.98))


def _rate_of(name: str, recipe: LanguagesRecipe) -> float:
    if name.endswith("word.rows"):
        return recipe.character_learning_rate
    if name.startswith("mixture."):
        return recipe.mixture_learning_rate
    return recipe.learning_rate if "lora_" in name or "word." in name else recipe.head_learning_rate


def _pieces(data: Path, tokenizer: Tokenizer) -> list[str]:
    return characters_missing((_texts(data, name) for name in LANGUAGES_MIX), tokenizer, PIECES)


def _texts(data: Path, name: str) -> Iterator[str]:
    """Every text and question of a set's train split, once."""
    seen: set[str] = set()
    for record in read_records(data, name):
        if split_of(record) == "train":
            texts = {record["query"] or "", *(d["text"] for d in record["documents"])} - seen
            seen |= texts
            yield from sorted(texts)
