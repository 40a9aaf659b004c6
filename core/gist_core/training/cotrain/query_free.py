"""``gist train query-free``: what a selective checkpoint keeps when nothing is asked, learned from a language model.

The keep head's column for calls without a query learns where a causal model looks when it reads what follows
(``saliency.py``). That the last words of C count most is true of a text that goes on, not of a passage that was
retrieved: a term for the distance from the end takes it up in training, and is left behind. Then the fusion of that
mode is fitted anew, on questions' evidence and on the sentences that the model looked at. Nothing that a call with a
query depends on is touched.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from gist_core.selective.engine import Engine, Parts, load_parts, save_parts, start_engine
from gist_core.selective.fusion import Rating
from gist_core.selective.model import ASKED, FREE
from gist_core.training.cotrain.episodes import Episode, EpisodeSizes, cut_episodes, drawer, read_episodes
from gist_core.training.cotrain.gists import unit_means
from gist_core.training.cotrain.imitate import imitate
from gist_core.training.cotrain.policy import SelectivePolicy, UnitScores
from gist_core.training.cotrain.recipe import SEPARATOR, parts_with
from gist_core.training.cotrain.saliency import saliency, saliency_loss
from gist_core.training.cotrain.scoring import Frame
from gist_core.training.export import rated_cases
from gist_core.training.fusion import Rated, choose_exponent, fit_fusion, held_out_logits, read_units
from gist_core.training.hub import load_causal
from gist_core.training.lm.corpus import read_corpus

_BINS = 16  # of the distance from the end of C
_LOOKED_AT = 0.25  # share of C's tokens whose sentences count as evidence
_FROM_TEXT = 0.5  # of the keep head; the rest stays what questions taught it (core/decisions/log.md has other shares)
_TEXT = "text"  # to the fusion all sets of the corpus are one: a set of questions more would weigh as much
_CHUNK = 8


@dataclass(frozen=True, slots=True)
class QueryFreeRun:
    """Settings.

    Attributes:
        text: A corpus (``read_corpus``): its train side for the head, its validation side for the fusion.
        questions: Folder of record sets; the validation split of ``export.CASES["free"]`` is read.
        base: Folder or hub id of the causal LM.
        start: Folder of the selective checkpoint.
        steps, batch, rate: Of the head's training.
        rated: Episodes of each set of the corpus that the fusion is fitted to.
    """

    text: Path
    questions: Path
    base: str
    start: Path
    sizes: EpisodeSizes = field(default_factory=EpisodeSizes)
    steps: int = 100
    batch: int = 16
    rate: float = 3e-3
    rated: int = 60
    seed: int = 13


class WithRecency(nn.Module):
    """A policy whose scores come with a number for how far from the end of C a unit stands."""

    def __init__(self, policy: SelectivePolicy) -> None:
        super().__init__()
        self.policy = policy
        self.recency = nn.Parameter(torch.zeros(_BINS))

    def forward(self, contexts: Sequence[str]) -> UnitScores:
        """As ``SelectivePolicy.forward``."""
        found: UnitScores = self.policy(contexts)
        at = [_bins([u.start for u in units], len(c)) for c, units in zip(contexts, found.units, strict=True)]
        place = torch.from_numpy(np.concatenate(at)).to(self.recency.device)
        return replace(found, score=found.score + self.recency[place])


def train_query_free(run: QueryFreeRun, out: Path, name: str, version: str) -> Path:
    """Write a checkpoint to ``out`` whose calls without a query are trained; returns its folder.

    Raises:
        CheckpointError: The base or the start cannot be loaded.
        InvalidInputError: The corpus holds no text of an episode's length to train on.
    """
    torch.manual_seed(run.seed)
    teacher, tokenizer = load_causal(run.base)
    teacher.eval().requires_grad_(False)  # noqa: FBT003 - torch's own signature
    frame, parts = Frame(tokenizer, SEPARATOR), load_parts(run.start)
    learner = _learn_head(run, parts, teacher, frame, out)
    with tempfile.TemporaryDirectory() as temporary:
        draft = Path(temporary) / "draft"  # the fusion is fitted to the int8 weights
        save_parts(draft, parts, name, version, int8=True)
        fitted = _fit_fusion(run, draft, teacher, frame, learner.recency.detach().cpu().numpy())
    save_parts(out / "checkpoint", fitted, name, version, int8=True)
    return out / "checkpoint"


def _learn_head(run: QueryFreeRun, parts: Parts, teacher: Any, frame: Frame, out: Path) -> WithRecency:
    """Train the keep head of ``parts`` in place, words as units; the column of calls with a query gets no gradient."""
    policy = SelectivePolicy(parts_with(parts, granularity="word"), whole=False)
    for name, parameter in policy.model.named_parameters():
        parameter.requires_grad_(name.startswith("keep_head"))
    learner = WithRecency(policy)
    draw = drawer(read_episodes(run.text, "train", frame.tokenizer, run.sizes, run.seed), run.batch, run.seed)
    optimizer = torch.optim.AdamW([p for p in learner.parameters() if p.requires_grad], lr=run.rate, weight_decay=0.0)
    imitate(learner, (optimizer,), saliency_loss(learner, teacher, frame), draw, run.steps, _CHUNK, out)
    _mix(parts.model.keep_head, policy.model.keep_head)
    return learner


@torch.no_grad()
def _mix(head: nn.Linear, learned: nn.Linear) -> None:
    """The column of calls without a query: between the questions' and the one learned from text."""
    for old, new in ((head.weight, learned.weight), (head.bias, learned.bias)):
        old[FREE] = old[ASKED].lerp(new[FREE].to(old.device), _FROM_TEXT)


def _fit_fusion(run: QueryFreeRun, draft: Path, teacher: Any, frame: Frame, recency: np.ndarray) -> Parts:
    parts = load_parts(draft)
    engine = start_engine(parts, "auto")
    rated = rated_cases(engine, run.questions, "free")
    documents = read_corpus(run.text, "validation")
    for name in sorted({d.set for d in documents}):
        texts = [d.text for d in documents if d.set == name]
        episodes = cut_episodes(texts, frame.tokenizer, run.sizes, run.seed)[: run.rated]
        rated += _rate_episodes(engine, teacher, frame, episodes, recency)
    exponent = choose_exponent(rated, held_out_logits(rated))
    return parts.with_rating("free", Rating(fit_fusion(rated), exponent))


def _rate_episodes(
    engine: Engine, teacher: Any, frame: Frame, episodes: Sequence[Episode], recency: np.ndarray
) -> Iterator[Rated]:
    """Sentences as units; evidence is what the teacher looked at most, for how far from the end it stands."""
    for at in range(0, len(episodes), _CHUNK):
        some = episodes[at : at + _CHUNK]
        for episode, looked in zip(some, saliency(teacher, frame, some), strict=True):
            read = read_units(engine, [episode.context], None)
            spans = [span for _, span in read.spans]
            means = unit_means(spans, frame.starts(episode.context), looked.cpu().numpy())
            expected = np.exp(recency[_bins([s.start for s in spans], len(episode.context))])
            yield Rated(_TEXT, read.signals, _most(means / expected, read.sizes), read.sizes)


def _most(values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """(U,) 1 for the units of the highest values that have the share ``_LOOKED_AT`` of all tokens; at least one."""
    order = np.argsort(-values, kind="stable")
    before = np.cumsum(sizes[order]) - sizes[order]
    out = np.zeros(len(values), dtype=np.float32)
    out[order[before < _LOOKED_AT * sizes.sum()]] = 1.0
    return out


def _bins(starts: Sequence[int], length: int) -> np.ndarray:
    """(U,) which sixteenth of the text each unit begins in, counted from the end."""
    from_end = 1 - np.asarray(starts, dtype=np.float64) / max(length, 1)
    return np.clip((from_end * _BINS).astype(np.int64), 0, _BINS - 1)
