"""What a compaction gives back: the model's view, what its gists stand for, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass

from gist_core.errors import GistError
from gist_core.memory.gist import Gist
from gist_core.memory.turns import Turn


@dataclass(frozen=True, slots=True)
class MemoryUsage:
    """What a call cost and gave.

    Args:
        tokens_in: Tokens of the whole conversation, word for word.
        tokens_out: Tokens of the view.
        tokens_scored: Tokens of the text that the model read in this call.
        prefix: So many turns at the beginning of the view read as they did before the call.
        milliseconds: Wall time of the call.
    """

    tokens_in: int
    tokens_out: int
    tokens_scored: int
    prefix: int
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Compaction:
    """A conversation as the model shall see it.

    Args:
        turns: The view: gists stand as user turns with ``gist`` set, all other turns are the caller's own objects.
        origin: For each turn of the view its index in the conversation, None for a gist. After ``compact(turns)``
            these are indices of the list given.
        usage: What it cost.
        error: Why the view is larger than the policy says, where that says ``on_error="original"``: what failed, or
            ``BudgetTooSmallError`` where what has to stay is above the mark alone.
    """

    turns: tuple[Turn, ...]
    origin: tuple[int | None, ...]
    usage: MemoryUsage
    error: GistError | None = None

    @property
    def gists(self) -> tuple[Gist, ...]:
        """The gists of the view, in order; each names the turns it stands for."""
        return tuple(turn.gist for turn in self.turns if turn.gist is not None)
