"""What each part of a turn is worth to a reader who has not asked yet, scored once for each text."""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from gist_core.budget import Budget
from gist_core.compressor import TextCompressor, check_pattern
from gist_core.errors import CompressionError, GistError
from gist_core.facts import FactKind, facts
from gist_core.memory.gist import Piece
from gist_core.passage import Passage, ScoredSpan, hash_text
from gist_core.tokens import TokenCounter

_REMEMBERED = 4_096  # texts
_KEEP = 1_000.0  # above every other score
_MOST_FACTS = 3
_SENTENCES = {FactKind.DECISION, FactKind.PROMISE, FactKind.QUESTION}
_WEIGHT = {kind: 0.2 if kind in _SENTENCES else 0.5 for kind in FactKind}  # logits (core/decisions/log.md)
_SENTENCE = 80  # characters
_OPENING, _FADES = 1.5, 4.0  # logits, turns: the first turns say what a conversation is about


class PieceScorer:
    """Gives pieces their units: the model's score without a question, as a logit, plus what facts weigh.

    Args:
        compressor: Scores the parts of a text.
        counter: Counts what the model reads.
        keep: Patterns whose matches go first.
    """

    def __init__(
        self, compressor: TextCompressor, counter: TokenCounter, keep: Sequence[str | re.Pattern[str]]
    ) -> None:
        self._compressor = compressor
        self._counter = counter
        self._keep = [check_pattern(item) for item in keep]
        self._known: OrderedDict[str, tuple[ScoredSpan, ...]] = OrderedDict()
        self.tokens = 0

    def __call__(self, pieces: Sequence[Piece], extra: Sequence[float]) -> list[Piece]:
        """The pieces with their units, ``extra`` logits added to all of a piece.

        ``tokens`` grows by what the model had to read for it.
        """
        keys = [hash_text(piece.text) for piece in pieces]
        new = {key: piece.text for key, piece in zip(keys, pieces, strict=True) if key not in self._known}
        scored = self._score(list(new.values()))
        found = dict(zip(new, scored, strict=True))
        units = [found.get(key) or self._known.get(key, ()) for key in keys]
        self._remember(found)
        return [self._with_units(piece, own, more) for piece, own, more in zip(pieces, units, extra, strict=True)]

    def _score(self, texts: list[str]) -> list[tuple[ScoredSpan, ...]]:
        if not texts:
            return []
        self.tokens += sum(self._counter.count_many(texts))
        return unit_logits(self._compressor, [Passage(str(i), text) for i, text in enumerate(texts)])

    def _remember(self, found: dict[str, tuple[ScoredSpan, ...]]) -> None:
        self._known.update(found)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def _with_units(self, piece: Piece, units: Iterable[ScoredSpan], extra: float) -> Piece:
        weighed = tuple(u._replace(score=u.score + extra) for u in self._weighed(piece.text, tuple(units)))
        if piece.spans is None:
            best = max((unit.score for unit in weighed), default=0.0) - _bulk(piece.text)
            weighed = (ScoredSpan(0, len(piece.text), best),) if piece.text else ()
        return replace(piece, units=weighed)

    def _weighed(self, text: str, units: tuple[ScoredSpan, ...]) -> tuple[ScoredSpan, ...]:
        weights = [(start, end, _WEIGHT[kind]) for start, end, kind in facts(text)]
        wanted = [(*match.span(), _KEEP) for pattern in self._keep for match in pattern.finditer(text)]
        weight, kept = _by_unit(units, weights), _by_unit(units, sorted(wanted))
        return tuple(
            unit._replace(score=unit.score + sum(sorted(own, reverse=True)[:_MOST_FACTS]) + max(must, default=0.0))
            for unit, own, must in zip(units, weight, kept, strict=True)
        )


def _bulk(text: str) -> float:
    """What a piece that is kept as a whole weighs less, the longer it is: by its best line alone, data would crowd out
    talk.
    """
    return math.log(max(len(text) / _SENTENCE, 1.0))


def unit_logits(
    compressor: TextCompressor, passages: Sequence[Passage], query: str | None = None
) -> list[tuple[ScoredSpan, ...]]:
    """The units of each passage with the model's scores as logits.

    Raises:
        CompressionError: The model failed.
    """
    try:
        results = compressor.compress(passages, query=query, budget=Budget(ratio=1.0, tokenizer=len))
    except GistError:
        raise
    except Exception as error:  # a device's, or a compressor's of someone else: the policy answers it too
        raise CompressionError(f"The model failed: {type(error).__name__}: {error}") from error
    return [tuple(ScoredSpan(u.start, u.end, logit(u.score)) for u in result.units) for result in results]


def opening(position: int) -> float:
    """What a turn weighs more for standing at the beginning of its conversation; position 0 is the first."""
    return _OPENING * math.exp(-position / _FADES)


def logit(probability: float) -> float:
    """The log odds of a probability; finite at both ends."""
    inside = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(inside / (1 - inside))


def _by_unit(units: Sequence[ScoredSpan], found: Iterable[tuple[int, int, float]]) -> list[list[float]]:
    """The weights of what is ``found`` in each unit; both are in order, the units disjoint."""
    ends = [unit.end for unit in units]
    own: list[list[float]] = [[] for _ in units]
    for start, end, weight in found:
        at = bisect_left(ends, start + 1)
        while at < len(units) and units[at].start < end:
            own[at].append(weight)
            at += 1
    return own
