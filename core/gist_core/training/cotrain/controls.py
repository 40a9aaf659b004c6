"""What a gist of the same size could be without learning: the controls that every report needs.

Each takes the words of C (the same units that the selective policy chooses among), so that what differs is the choice.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch

from gist_core.budget import Budget
from gist_core.compressor import TextCompressor
from gist_core.passage import Passage, Span, render
from gist_core.segment import segments
from gist_core.selective.signals import units_of
from gist_core.training.cotrain.gists import WordSizes, fitted, unit_means
from gist_core.training.cotrain.scoring import Frame

Gister = Callable[[str, int], str]
"""(context, tokens) -> a gist of at most so many of the generator's tokens."""


def in_order(frame: Frame, order: Callable[[str, Sequence[Span]], Iterable[int]]) -> Gister:
    """A gist of the words that ``order`` names first, as far as they fit; what it does not name stays out."""
    word_sizes = WordSizes(frame)

    def gist(context: str, room: int) -> str:
        units = [s.span for s in units_of(context, "word")]
        sizes = word_sizes.of(context, units)
        chosen: list[int] = []
        left = room
        for i in order(context, units):
            if sizes[i] <= left:
                chosen.append(i)
                left -= sizes[i]
        return render(context, fitted(context, units, chosen, room, lambda text: len(frame.ids(text))))

    return gist


def head(frame: Frame) -> Gister:
    """The first words."""
    return in_order(frame, lambda _, units: range(len(units)))


def tail(frame: Frame) -> Gister:
    """The last words, next to the local window."""
    return in_order(frame, lambda _, units: reversed(range(len(units))))


def random_words(frame: Frame, seed: int) -> Gister:
    """Words at random; the same for the same text."""
    return in_order(frame, lambda text, units: _rng(seed, text).permutation(len(units)))


def random_sentences(frame: Frame, seed: int) -> Gister:
    """Whole sentences at random, the last one as far as it fits."""

    def order(text: str, units: Sequence[Span]) -> Iterable[int]:
        spans = [s.span for s in segments(text)]
        for i in _rng(seed, text).permutation(len(spans)):
            yield from (n for n, u in enumerate(units) if spans[i].start <= u.start < spans[i].end)

    return in_order(frame, order)


def surprising_words(frame: Frame, model: Any) -> Gister:
    """Words whose tokens the frozen model finds least likely where they stand, by the mean over a word's tokens."""

    def order(text: str, units: Sequence[Span]) -> Iterable[int]:
        means = unit_means(units, frame.starts(text), _surprisal(frame, model, text))
        ranked: list[int] = np.argsort(-means, kind="stable").tolist()
        return ranked

    return in_order(frame, order)


def rare_words(frame: Frame, corpus: Iterable[str]) -> Gister:
    """Words of the highest TF-IDF, each once, where it stands first; frequencies of documents from ``corpus``."""
    seen: Counter[str] = Counter()
    documents = 0
    for text in corpus:
        documents += 1
        seen.update(set(_words(text)))

    def order(text: str, units: Sequence[Span]) -> Iterable[int]:
        words = [_bare(text[u.start : u.end]) for u in units]
        counts = Counter(words)
        first: dict[str, int] = {}
        for i, word in enumerate(words):
            if word:
                first.setdefault(word, i)
        ranked = sorted(first, key=lambda w: -counts[w] * math.log((1 + documents) / (1 + seen[w])))
        return [first[w] for w in ranked]

    return in_order(frame, order)


def compressed(compressor: TextCompressor, frame: Frame) -> Gister:
    """What a compressor makes of C without a query, under the same budget in the same tokens."""

    def count(text: str) -> int:
        return len(frame.ids(text))

    def gist(context: str, room: int) -> str:
        budget = Budget(tokens=max(1, room), tokenizer=count)
        return compressor.compress([Passage("c", context)], query=None, budget=budget)[0].text

    return gist


@torch.no_grad()
def _surprisal(frame: Frame, model: Any, text: str) -> np.ndarray:
    """(N,) nats of each token of the text."""
    device = next(model.parameters()).device
    ids = torch.tensor([[frame.start, *frame.ids(text)]], device=device)
    log_probs = torch.log_softmax(model(input_ids=ids).logits[0, :-1].float(), dim=-1)
    values: np.ndarray = -log_probs.gather(-1, ids[0, 1:, None]).squeeze(-1).cpu().numpy()
    return values


def _words(text: str) -> list[str]:
    return [w for w in map(_bare, text.split()) if w]


def _bare(word: str) -> str:
    return word.strip(".,;:!?\"'()[]{}*_`\u201c\u201d\u2018\u2019-").casefold()


def _rng(seed: int, text: str) -> np.random.Generator:
    return np.random.default_rng([seed, len(text), *text[:64].encode("utf-8", "replace")])
