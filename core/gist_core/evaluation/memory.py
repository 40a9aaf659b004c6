"""The measurement of chat memory: which systems, which sets. ``gist evaluate-memory`` runs it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from gist_core.compressor import TextCompressor
from gist_core.encoders import DEFAULT_ENCODER
from gist_core.evaluation.memory_baselines import (
    Asked,
    ByMeaning,
    Free,
    at_random,
    by_rare_words,
    by_rare_words_each,
    by_words,
    by_words_asked,
    head_and_tail,
    keep_last,
)
from gist_core.evaluation.memory_report import OURS_ASKED, OURS_FREE, markdown
from gist_core.evaluation.memory_runner import run
from gist_core.evaluation.memory_sets import Sample, load_chats
from gist_core.evaluation.memory_systems import GistMemory
from gist_core.evaluation.rows import read_rows
from gist_core.evaluation.systems.minilm import minilm


def systems(compressor: TextCompressor, *, alone: bool = False) -> tuple[dict[str, Free], dict[str, Asked]]:
    """The systems that are not told the question, and those that are; ``alone`` without what stands beside ours.

    Those of all-MiniLM-L6-v2 are there where it is installed.
    """
    ours = GistMemory(compressor)
    free: dict[str, Free] = {OURS_FREE: ours.view, "gist, turn by turn": ours.turn_by_turn}
    asked: dict[str, Asked] = {OURS_ASKED: ours.with_recall}
    if alone:
        return free, asked
    free |= {"last turns": keep_last, "head and tail": head_and_tail, "random turns": at_random, "bm25 turns": by_words}
    free |= {"rare words, sum": by_rare_words, "rare words, mean": by_rare_words_each}
    asked |= {"bm25 turns by the question": by_words_asked}
    if find_spec(DEFAULT_ENCODER) and find_spec("sentence_transformers"):
        mini = ByMeaning(minilm())
        free |= {"minilm turns": mini.free}
        asked |= {"minilm turns by the question": mini.asked, "minilm + bm25 by the question": mini.asked_with_words}
    return free, asked


def measure_memory(
    data: Path, out: Path, free: Mapping[str, Free], asked: Mapping[str, Asked], sets: Mapping[str, Sample]
) -> str:
    """Run the systems over the sets, append rows to ``out/rows.jsonl``, write and return ``out/report.md``."""
    rows = out / "rows.jsonl"
    for name, sample in sets.items():
        run(load_chats(data, name, sample), free, asked, rows)
    text = markdown(read_rows(rows))
    (out / "report.md").write_text(text, encoding="utf-8")
    return text
