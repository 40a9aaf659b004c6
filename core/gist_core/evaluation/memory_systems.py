"""Chat memory as it is measured: the view alone, and the view with what is recalled for a question."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gist_core.budget import Budget
from gist_core.compressor import TextCompressor
from gist_core.errors import BudgetTooSmallError
from gist_core.evaluation.memory_baselines import Shown
from gist_core.evaluation.memory_sets import Chat, Question, said, turn_counter
from gist_core.evaluation.runner import TOKENIZER
from gist_core.memory import Compaction, ConversationCompactor, MemoryPolicy, Piece, Turn
from gist_core.memory.recall import Embedder
from gist_core.memory.state import tool_units
from gist_core.passage import Compressed, Passage, Span, merge_spans

VIEW_SHARE = 0.05
"""Of the budget, what the view gets where the question is known; recall gets the rest. One number for all sets."""
KEPT_LAST = (6, 4, 2, 1)
TAIL_SHARE = 0.25


class GistMemory:
    """Views of whole conversations, made once for each conversation and size.

    Args:
        compressor: What rates sentences; its work is remembered.
        share: Of the budget, what the view gets beside recall.
    """

    def __init__(self, compressor: TextCompressor, share: float = VIEW_SHARE) -> None:
        self._compressor = remembering(compressor)
        self._share = share
        self._made = lru_cache(maxsize=8)(self._make)

    def view(self, chat: Chat, budget: int) -> Shown:
        """The view of the conversation given at once."""
        return _shown(self._made(chat, budget)[1])

    def turn_by_turn(self, chat: Chat, budget: int) -> Shown:
        """The view after the turns came one by one, compacted to the budget whenever a third above it.

        Where the last turns alone are above that for a moment, the view waits until they have moved on.
        """
        memory = ConversationCompactor(_policy(chat, budget, budget * 4 // 3), compressor=self._compressor)
        for turn in chat.turns:
            with suppress(BudgetTooSmallError):
                memory.append(turn)
        last = ConversationCompactor(_policy(chat, budget, budget), compressor=self._compressor)
        return _shown(last.compact(memory.view().turns))

    def with_recall(self, chat: Chat, question: Question, budget: int) -> Shown:
        """A smaller view, and what is recalled for the question in the rest of the budget, as one more message."""
        memory, compaction = self._made(chat, int(budget * self._share))
        view = _shown(compaction)
        frame = memory.policy.tokens_per_turn
        left = budget - view.tokens - frame
        if left <= 0:
            return view
        found = memory.recall(question.query, Budget(tokens=left, tokenizer=TOKENIZER))
        return _joined(view, found.pieces, found.tokens + frame if found.text else 0)

    def _make(self, chat: Chat, size: int) -> tuple[ConversationCompactor, Compaction]:
        memory = ConversationCompactor(_policy(chat, size, size), compressor=self._compressor)
        return memory, memory.compact(chat.turns)


def last_turns(turns: Sequence[Turn], sizes: Sequence[int], room: float) -> int:
    """How many turns stay word for word: the most of 6, 4, 2, 1 that cost at most ``room``, tools' units whole."""
    units = tool_units(turns)
    for count in KEPT_LAST:
        places = set(range(max(0, len(turns) - count), len(turns)))
        for unit in units:
            places |= set(unit) if places & set(unit) else set()
        if sum(sizes[at] for at in places) <= room:
            return count
    return 0


def _policy(chat: Chat, low: int, high: int) -> MemoryPolicy:
    kept = last_turns(chat.turns, chat.sizes, TAIL_SHARE * low)
    return MemoryPolicy(high_water=high, low_water=low, keep_last=kept, tokenizer=TOKENIZER)


def _shown(compaction: Compaction) -> Shown:
    parts: list[str] = []
    kept: dict[str, list[Span]] = {}
    for turn in compaction.turns:
        if turn.gist is None:
            parts.append(said(turn))
            kept[turn.id] = [Span(0, len(turn.content))]
        else:
            parts += _held(turn.gist.pieces, kept)
    return Shown(kept, "\n".join(parts), turn_counter().turns(compaction.turns))


def _joined(view: Shown, pieces: Sequence[Piece], tokens: int) -> Shown:
    kept = {turn: list(spans) for turn, spans in view.kept.items()}
    parts = _held(pieces, kept)
    return Shown(kept, "\n".join([view.text, *parts]), view.tokens + tokens)


def _held(pieces: Sequence[Piece], kept: dict[str, list[Span]]) -> list[str]:
    """The texts of pieces; their spans are added to ``kept``. What is no slice of its turn counts as no evidence."""
    for piece in pieces:
        kept[piece.turn] = merge_spans([*kept.get(piece.turn, ()), *(piece.spans or ())])
    return [piece.text for piece in pieces]


def remembering(compressor: TextCompressor) -> TextCompressor:
    """The compressor, which reads no text twice for the same question."""
    if isinstance(compressor, Embedder):
        return _RememberingEmbedder(compressor, compressor)
    return _Remembering(compressor)


class _Remembering:
    """Answers from memory where it can; only for calls whose budget holds everything, as chat memory makes them.

    With a question, scores depend a little on what else is read in a call. So there a call is answered from memory
    only if an earlier one of the same question held all its texts.
    """

    def __init__(self, inner: TextCompressor) -> None:
        self._inner = inner
        self._free: dict[str, Compressed] = {}
        self._asked: dict[str, dict[str, Compressed]] = {}  # of the last question

    @property
    def model_id(self) -> str:
        return self._inner.model_id

    def compress(self, passages: Sequence[Passage], *, query: str | None = None, **settings: Any) -> list[Compressed]:
        known = self._free if query is None else self._asked.get(query, {})
        new = [p for p in passages if p.text not in known]
        if query is not None and new:
            new, known = list(passages), {}
            self._asked = {query: known}
        found = self._inner.compress(new, query=query, **settings)
        known.update(zip((p.text for p in new), found, strict=True))
        return [replace(known[p.text], source_id=p.id) for p in passages]

    async def acompress(self, passages: Sequence[Passage], **settings: Any) -> list[Compressed]:
        return await self._inner.acompress(passages, **settings)


class _RememberingEmbedder(_Remembering):
    def __init__(self, inner: TextCompressor, embedder: Embedder) -> None:
        super().__init__(inner)
        self._embedder = embedder
        self._vectors: dict[str, NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        new = list(dict.fromkeys(text for text in texts if text not in self._vectors))
        if new:
            self._vectors.update(zip(new, self._embedder.embed(new), strict=True))
        return np.stack([self._vectors[text] for text in texts])
