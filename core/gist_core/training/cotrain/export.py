"""Trained policies as checkpoints. A selective one chooses among words by its keep logits and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gist_core.checkpoint import EXTRACTOR
from gist_core.generative import engine as generative
from gist_core.generative.config import GenerativeConfig
from gist_core.selective.engine import Parts, save_parts
from gist_core.selective.fusion import MODES, SIGNALS, Fusion, Rating
from gist_core.training.cotrain.extracts import Extracts
from gist_core.training.cotrain.writer import Writer
from gist_core.training.hub import merged


def keep_only() -> Fusion:
    """A fusion that hands the pooled keep logit on."""
    count = len(SIGNALS)
    zeros = np.zeros
    return Fusion(
        zeros(count, np.float32),
        np.ones(count, np.float32),
        np.array([float(name == "keep") for name in SIGNALS], np.float32),
        zeros((count, 1), np.float32),
        zeros(1, np.float32),
        zeros(1, np.float32),
        zeros(1, np.float32),
    )


def export_policy(parts: Parts, folder: Path, name: str, version: str) -> None:
    """Write the checkpoint: its scores are of words' gains per token already, so their lengths play no other part."""
    saved = replace(parts, ratings={mode: Rating(keep_only()) for mode in MODES})
    save_parts(folder, saved, name, version, int8=False)


def export_writer(
    writer: Writer, rates: Sequence[float], extracts: Extracts | None, folder: Path, name: str, version: str
) -> None:
    """Write a generative checkpoint of what a policy writes with, and of what chooses what it reads."""
    lm = merged(writer.lm)
    positions = getattr(lm.config, "max_position_embeddings", None) or 2 * writer.context_tokens
    config = GenerativeConfig(
        before=writer.before,
        after=writer.after,
        context_tokens=min(writer.context_tokens, positions // 2),  # the other half for the frame and the gist
        rates=sorted(rates),
        verbatim=writer.verbatim,
        extract=None if extracts is None else extracts.times,
    )
    generative.save_parts(folder, generative.Parts(lm, writer.frame.tokenizer, config), name, version)
    if extracts is not None:
        export_policy(extracts.keep.policy.parts, folder / EXTRACTOR, f"{name}-extractor", version)
