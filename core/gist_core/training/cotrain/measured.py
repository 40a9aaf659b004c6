"""``gist train measure-gists``: co-trained policies beside every control, on documents that no training has read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from gist_core.errors import InvalidInputError
from gist_core.loading import load_compressor
from gist_core.training.cotrain.controls import (
    Gister,
    compressed,
    head,
    random_sentences,
    random_words,
    rare_words,
    surprising_words,
    tail,
)
from gist_core.training.cotrain.episodes import EpisodeSizes, read_episodes
from gist_core.training.cotrain.measure import Readers, measure_gists, summary
from gist_core.training.cotrain.recipe import CHECKPOINT, GENERATOR, SEPARATOR
from gist_core.training.cotrain.scoring import Frame
from gist_core.training.hub import load_causal
from gist_core.training.lm.corpus import read_corpus

_CORPUS = 3_000  # documents that word frequencies are counted in


@dataclass(frozen=True, slots=True)
class MeasuredRuns:
    """What is measured: ``runs`` are folders of ``gist train cotrain``; the generator of the first reads all gists.

    ``checkpoints`` are others, as ``load_compressor`` takes them, measured as the runs' own are.
    """

    data: Path
    base: str
    runs: tuple[Path, ...]
    checkpoints: tuple[str, ...]
    sizes: EpisodeSizes
    rates: tuple[float, ...]
    episodes: int
    seed: int

    def __post_init__(self) -> None:
        if not self.rates or not all(0 < rate < 1 for rate in self.rates):
            raise InvalidInputError(f"rates are {self.rates}.", hint="Give shares of the context between 0 and 1.")


def measure_runs(asked: MeasuredRuns, out: Path) -> str:
    """Write ``rows.jsonl`` and return the report.

    Raises:
        InvalidInputError: A folder is no finished run, or no document of the test side is as long as an episode.
        CheckpointError: One of ``checkpoints`` cannot be loaded.
    """
    for folder in asked.runs:
        if not (folder / GENERATOR).is_dir() or not (folder / CHECKPOINT).is_dir():
            raise InvalidInputError(f"{folder} is no finished run.", hint="Name a folder of `gist train cotrain`.")
    out.mkdir(parents=True, exist_ok=True)
    teacher, tokenizer = load_causal(asked.base)
    frame = Frame(tokenizer, SEPARATOR)
    generator = AutoModelForCausalLM.from_pretrained(asked.runs[0] / GENERATOR, dtype=torch.float32)
    episodes = read_episodes(asked.data, "test", tokenizer, asked.sizes, asked.seed)[: asked.episodes]
    readers = Readers(teacher.eval(), generator.to(teacher.device).eval(), frame)
    named = {folder.name: str(folder / CHECKPOINT) for folder in asked.runs} | {_name(c): c for c in asked.checkpoints}
    ours = {name: compressed(load_compressor(checkpoint), frame) for name, checkpoint in named.items()}
    rows = measure_gists(readers, ours | _controls(asked, frame, teacher), episodes, asked.rates, out / "rows.jsonl")
    return summary(rows, list(ours))


def _name(checkpoint: str) -> str:
    """The last part of a path or an id that says something."""
    place = Path(checkpoint)
    return place.parent.name if place.name == CHECKPOINT and place.parent.name else place.name


def _controls(asked: MeasuredRuns, frame: Frame, teacher: Any) -> dict[str, Gister]:
    train = read_corpus(asked.data, "train")
    chosen = np.random.default_rng(asked.seed).permutation(len(train))[:_CORPUS]
    corpus = [train[i].text for i in chosen]
    return {
        "head": head(frame),
        "tail": tail(frame),
        "random words": random_words(frame, asked.seed),
        "random sentences": random_sentences(frame, asked.seed),
        "most surprising words": surprising_words(frame, teacher),
        "rarest words (TF-IDF)": rare_words(frame, corpus),
        "QA-trained default, no query": compressed(load_compressor(), frame),
    }
