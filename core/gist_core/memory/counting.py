"""What a turn costs in a provider's prompt: text, names, calls and the frame of a message."""

from __future__ import annotations

from collections.abc import Iterable

from gist_core.memory.policy import MemoryPolicy
from gist_core.memory.turns import Turn
from gist_core.tokens import token_counter

_PER_CALL = 6  # the JSON around a call's id, name and arguments


class TurnCounter:
    """Counts turns by a policy's tokenizer: a view costs the sum of its turns.

    A turn costs its content, its name, the id it answers, each call's id, name and arguments with what frames them,
    its opaque parts, and ``tokens_per_turn``.
    """

    def __init__(self, policy: MemoryPolicy) -> None:
        self.text = token_counter(policy.tokenizer)
        self._frame = policy.tokens_per_turn

    def turn(self, turn: Turn) -> int:
        """Tokens of one turn."""
        parts = [turn.content, turn.name or "", turn.tool_call_id or ""]
        for call in turn.tool_calls:
            parts += [call.id, call.name, call.arguments]
        count = sum(self.text.count_many([part for part in parts if part]))
        return count + self._frame + _PER_CALL * len(turn.tool_calls) + turn.opaque_tokens

    def turns(self, turns: Iterable[Turn]) -> int:
        """Tokens of turns together."""
        return sum(map(self.turn, turns))
