"""When a conversation is compacted, to what size, and what stays."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from gist_core.budget import Budget
from gist_core.compressor import check_pattern
from gist_core.errors import InvalidInputError
from gist_core.tokens import token_counter

OnFailure = Literal["raise", "original"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryPolicy:
    """How a conversation is kept small. Sizes are tokens, counted as ``TurnCounter`` counts them.

    Args:
        high_water: A view above it is compacted; below it nothing happens.
        low_water: What a view is compacted to; half of ``high_water`` if not given.
        keep_last: So many turns at the end stay word for word, and whole tool units with them.
        tokenizer: What counts: an encoding or model name, a HF tokenizer, or a ``str -> int``.
        tokens_per_turn: What a provider adds to every message for its frame.
        keep: Regular expressions; what they match in an old turn goes into its gist first.
        tool_result_tokens: A tool's JSON result is shortened to so many tokens before it enters a gist.
        on_error: Where the model or the archive fails, or what must stay is above ``high_water``: ``"raise"``, or
            ``"original"`` to go on with a warning: after a failure with the view as it stood and the new turns word
            for word, else with what must stay and short gists, which is the smallest view there is. A checkpoint, a
            device or an extra that is missing is raised in any case.

    Raises:
        InvalidInputError: A value is unusable.
    """

    high_water: int = 8_000
    low_water: int | None = None
    keep_last: int = 6
    tokenizer: Any = "o200k_base"
    tokens_per_turn: int = 4
    keep: Sequence[str | re.Pattern[str]] = ()
    tool_result_tokens: int = 160
    on_error: OnFailure = "raise"

    def __post_init__(self) -> None:
        _whole("high_water", self.high_water, 1)
        if self.low_water is None:
            object.__setattr__(self, "low_water", max(1, self.high_water // 2))
        _whole("low_water", self.low_water, 1)
        if self.low > self.high_water:
            raise InvalidInputError(
                f"low_water is {self.low}, above high_water {self.high_water}.", hint="Compact to less than the limit."
            )
        _whole("keep_last", self.keep_last, 0)
        _whole("tokens_per_turn", self.tokens_per_turn, 0)
        _whole("tool_result_tokens", self.tool_result_tokens, 1)
        if self.on_error not in get_args(OnFailure):
            raise InvalidInputError(f"on_error is {self.on_error!r}.", hint="Use 'raise' or 'original'.")
        if isinstance(self.keep, str | bytes | re.Pattern) or not isinstance(self.keep, Sequence):
            raise InvalidInputError(f"keep is {self.keep!r}.", hint="Pass a list, also for a single pattern.")
        for item in self.keep:
            check_pattern(item)
        token_counter(Budget(tokens=0, tokenizer=self.tokenizer).tokenizer)

    @property
    def low(self) -> int:
        """``low_water``, which is set once the policy stands."""
        return self.low_water or 1


def _whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInputError(f"{name} is {value!r}.", hint=f"Pass a whole number of {least} or more.")
