"""What chat memory is measured against: whole turns, chosen by place, by words, by meaning or at random."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gist_core.evaluation.memory_sets import Chat, Question, said
from gist_core.evaluation.systems.lexical import bm25_index, bm25_scores
from gist_core.evaluation.systems.minilm import MiniLM, z_scores
from gist_core.passage import Span
from gist_core.words import terms

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a system puts before the model.

    Args:
        kept: Spans of the turns' content, by the turn's id.
        text: What was said that is still there, without labels and speakers.
        tokens: What it costs, frames and labels included.
    """

    kept: Mapping[str, Sequence[Span]]
    text: str
    tokens: int


Free = Callable[[Chat, int], Shown]
"""A system that is not told the question: (conversation, budget in tokens) -> what it shows."""
Asked = Callable[[Chat, Question, int], Shown]
"""A system that is told the question."""


def whole_turns(chat: Chat, places: Iterable[int]) -> Shown:
    """These turns, word for word."""
    chosen = sorted(places)
    turns = [chat.turns[at] for at in chosen]
    return Shown(
        {turn.id: [Span(0, len(turn.content))] for turn in turns},
        "\n".join(map(said, turns)),
        sum(chat.sizes[at] for at in chosen),
    )


def keep_last(chat: Chat, budget: int) -> Shown:
    """The newest turns that fit, without a gap."""
    return whole_turns(chat, _fitting(chat, reversed(range(len(chat.turns))), budget))


def head_and_tail(chat: Chat, budget: int) -> Shown:
    """The oldest turns in half of the budget and the newest in the rest."""
    head = _fitting(chat, range(len(chat.turns)), budget // 2)
    left = budget - sum(chat.sizes[at] for at in head)
    return whole_turns(chat, {*head, *_fitting(chat, reversed(range(len(head), len(chat.turns))), left)})


def at_random(chat: Chat, budget: int) -> Shown:
    """Turns at random, the same ones each time."""
    rng = random.Random(chat.id)
    return best_first(chat, np.array([rng.random() for _ in chat.turns]), budget)


def best_first(chat: Chat, scores: Floats, budget: int) -> Shown:
    """The best turns; one that does not fit is passed over."""
    chosen = []
    for at in np.argsort(-scores, kind="stable").tolist():
        if chat.sizes[at] <= budget:
            chosen.append(at)
            budget -= chat.sizes[at]
    return whole_turns(chat, chosen)


def by_words(chat: Chat, budget: int) -> Shown:
    """BM25 with the whole conversation as the query, a word as often as it stands there."""
    return best_first(chat, _central(chat), budget)


def by_rare_words(chat: Chat, budget: int) -> Shown:
    """The inverse document frequencies of a turn's words, summed: much that is said seldom."""
    return best_first(chat, np.array([sum(own) for own in _rarity(chat)]), budget)


def by_rare_words_each(chat: Chat, budget: int) -> Shown:
    """Their mean: what is said seldom, in few words."""
    return best_first(chat, np.array([sum(own) / max(len(own), 1) for own in _rarity(chat)]), budget)


def by_words_asked(chat: Chat, question: Question, budget: int) -> Shown:
    """BM25 of the question."""
    return best_first(chat, _bm25(chat, question.query), budget)


class ByMeaning:
    """Turns by cosines of all-MiniLM-L6-v2."""

    def __init__(self, encoder: MiniLM) -> None:
        self._encoder = encoder

    def free(self, chat: Chat, budget: int) -> Shown:
        """Those nearest to the mean of all turns."""
        vectors = self._encoder.embed(_texts(chat))
        return best_first(chat, np.asarray(vectors @ vectors.mean(axis=0)), budget)

    def asked(self, chat: Chat, question: Question, budget: int) -> Shown:
        """Those nearest to the question."""
        return best_first(chat, self._cosines(chat, question), budget)

    def asked_with_words(self, chat: Chat, question: Question, budget: int) -> Shown:
        """The sum of both z-scores: cosine and BM25."""
        scores = z_scores(self._cosines(chat, question)) + z_scores(_bm25(chat, question.query))
        return best_first(chat, scores, budget)

    def _cosines(self, chat: Chat, question: Question) -> Floats:
        texts = _texts(chat)
        return self._encoder.sentence(question.query, texts, texts, np.arange(len(texts)))


def _fitting(chat: Chat, places: Iterable[int], budget: int) -> list[int]:
    """The first places whose turns fit together."""
    chosen = []
    for at in places:
        budget -= chat.sizes[at]
        if budget < 0:
            break
        chosen.append(at)
    return chosen


def _texts(chat: Chat) -> list[str]:
    """Each turn behind its speaker."""
    return [f"{turn.name or turn.role}: {said(turn)}" for turn in chat.turns]


def _bm25(chat: Chat, query: str) -> Floats:
    return bm25_scores(_index(chat), query)


@lru_cache(maxsize=2)
def _central(chat: Chat) -> Floats:
    return _bm25(chat, " ".join(_texts(chat)))


def _rarity(chat: Chat) -> list[list[float]]:
    """The inverse document frequency of each word of each turn."""
    known = _index(chat).idf
    return [[known[word] for word in terms(text)] for text in _texts(chat)]


@lru_cache(maxsize=2)
def _index(chat: Chat) -> Any:
    return bm25_index(_texts(chat))
