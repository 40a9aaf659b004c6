"""``gist train selective`` from data folder to trained model: see ``training/selective.py`` for the loop."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import PartialState
from tokenizers import Tokenizer

from gist_core.records import Split
from gist_core.selective.config import SelectiveConfig
from gist_core.selective.engine import Parts
from gist_core.selective.fusion import MODES, Rating, untrained
from gist_core.selective.hub import from_pretrained_encoder
from gist_core.selective.model import SelectiveModel
from gist_core.selective.signals import Special, special_ids, title_room
from gist_core.training.examples import ExampleBuilder
from gist_core.training.mining import mined
from gist_core.training.mix import SELECTIVE_MIX, build_examples
from gist_core.training.selective import SelectiveRecipe, sampler, train
from gist_core.training.steps import Data, Draw
from gist_core.training.teachers import Teachers

VALIDATION_MIX = {
    "nq20_even": 64,
    "covidqa": 48,
    "fairytaleqa": 48,
    "qmsum_train": 32,
    "nolicence_squadshifts_reddit": 64,
    "policyqa": 64,
    "friendsqa": 64,
}

WINDOWS = 6  # of a question, at most, in a step


def untrained_parts(encoder: Path, seed: int) -> Parts:
    """A selective model that is to be trained: a pretrained BERT sentence encoder with new heads.

    Args:
        encoder: Folder (or hub id) of the encoder, with its ``tokenizer.json``.
        seed: Of the heads.
    """
    torch.manual_seed(seed)
    model = from_pretrained_encoder(encoder)
    tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Parts(model, tokenizer, {mode: Rating(untrained()) for mode in MODES})


def train_selective(
    data: Path,
    out: Path,
    start: Parts,
    recipe: SelectiveRecipe,
    *,
    before: SelectiveModel | None = None,
    teachers: Sequence[Parts] = (),
    mine: bool = False,
) -> SelectiveModel:
    """Build examples of the train split, fine-tune, return the model in full precision.

    Args:
        data: Folder with the sets of ``SELECTIVE_MIX``.
        out: Folder for log and resumable state.
        start: What to go on from; trained in place.
        recipe: Settings; ``steps`` of 0 means once through the mix.
        before: The trained model that the run goes on from; what it says without a question is left as it is. Mostly
            that of ``start``; another where ``start`` is that model with its layers divided otherwise.
        teachers: Trained checkpoints; what they say of the units on the mean is learned beside the labels.
        mine: Of twice as many windows train on the negatives that ``start`` as it was takes for the best.

    Raises:
        InvalidInputError: A teacher reads another vocabulary, or less at once.
    """
    model, tokenizer = start.model, start.tokenizer
    longest, place = _longest(model.config), PartialState().device
    taught = Teachers(teachers, tokenizer, longest, place) if teachers else None

    def builder(seed: str, excluded: set[Split], spare: int = 0) -> ExampleBuilder:
        rng, config = random.Random(f"{recipe.seed}-{seed}"), model.config
        return ExampleBuilder(
            tokenizer,
            config.window_tokens,
            config.query_tokens,
            rng,
            title_tokens=title_room(config),
            windows_per_example=WINDOWS,
            spare=spare,
            excluded=frozenset(excluded),
        )

    spare = WINDOWS if mine else 0
    pools = build_examples(data, builder("train", {"validation", "test"}, spare), "train", SELECTIVE_MIX)
    held = build_examples(data, builder("validation", {"test"}), "validation", VALIDATION_MIX)
    total = sum(map(len, pools.values()))
    recipe = replace(recipe, steps=recipe.steps or total // recipe.examples_per_step)
    special = special_ids(tokenizer)
    draw = sampler(pools, recipe.seed, recipe.examples_per_step)
    if mine:
        draw = _mined(draw, Teachers([copy.deepcopy(start)], tokenizer, longest, place), special)
    fusions = {"query": start.ratings["query"].fusion, "free": start.ratings["free"].fusion}
    examples = [e for pool in held.values() for e in pool]
    return train(model, Data(draw, examples), special, recipe, out, fusions, before=before, teachers=taught)


def _mined(draw: Draw, judge: Teachers, special: Special) -> Draw:
    return lambda step: mined(draw(step), judge, special, WINDOWS)


def _longest(config: SelectiveConfig) -> int:
    """Of a window, in tokens, with its title and what frames both."""
    return min(config.window_tokens + title_room(config) + 3, config.max_positions)
