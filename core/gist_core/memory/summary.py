"""A summary in quotations: one gist of many turns, of a size asked for."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import Any

from gist_core.compressor import TextCompressor
from gist_core.errors import InvalidBudgetError
from gist_core.memory.counting import TurnCounter
from gist_core.memory.names import Names
from gist_core.memory.policy import MemoryPolicy
from gist_core.memory.scoring import PieceScorer
from gist_core.memory.state import entered
from gist_core.memory.turns import Turn, check_turns
from gist_core.memory.writing import GistWriter


class Summarizer:
    """Makes one gist of all turns it is given, whatever their roles; gists among them are gone over again.

    Safe to share between threads.

    Args:
        tokens: Most tokens of the gist's text.
        compressor: Rates sentences.
        tokenizer: What counts: an encoding or model name, a HF tokenizer, or a ``str -> int``.
        keep: Regular expressions; what they match goes first.

    Raises:
        InvalidBudgetError: ``tokens`` is no whole number, or too small for the label of a gist.
    """

    def __init__(
        self,
        tokens: int,
        compressor: TextCompressor,
        *,
        tokenizer: Any = "o200k_base",
        keep: Sequence[str | re.Pattern[str]] = (),
    ) -> None:
        policy = MemoryPolicy(tokenizer=tokenizer, keep=keep, tokens_per_turn=0)
        self._tokens = tokens
        self._lock = threading.Lock()
        self._counter = TurnCounter(policy)
        self._writer = GistWriter(policy, self._counter, PieceScorer(compressor, self._counter.text, policy.keep))
        if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < self._writer.least:
            raise InvalidBudgetError(f"tokens is {tokens!r}.", hint=f"A summary needs {self._writer.least} or more.")

    def __call__(self, turns: Sequence[Turn]) -> Turn:
        """A user's turn with the gist, whose text has at most ``tokens`` tokens.

        Raises:
            GistError: A turn is unusable, or the model failed.
        """
        check_turns(turns)
        entries = entered(turns, self._counter, Names())
        with self._lock:  # what is remembered is one thread's at a time
            pieces = self._writer.pieces(entries, 0)
        return self._writer.write(entries, pieces, self._tokens, shown=True).turn
