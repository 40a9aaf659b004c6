"""What a call is given when its time is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gist_core.evaluation.fresh import FreshTexts
from gist_core.passage import Passage


@dataclass(frozen=True, slots=True)
class SpeedCase:
    """Passages of one size, other ones at every call.

    Args:
        name: Its name in the rows.
        passages: How many.
        size: Of each passage.
        unit: What ``size`` counts.
        least: Calls at least; where they would take longer than ``seconds``, the case is left out.
        most: Calls at most.
        seconds: What the calls of one system may take together.
    """

    name: str
    passages: int
    size: int
    unit: Literal["words", "tokens"] = "tokens"
    least: int = 5
    most: int = 30
    seconds: float = 60.0

    def draw(self, fresh: FreshTexts) -> list[Passage]:
        """Passages that were not there before."""
        make = fresh.of_words if self.unit == "words" else fresh.of_tokens
        return make(self.size, self.passages)


def of_length(tokens: int, least: int = 5, most: int = 30, seconds: float = 60.0) -> SpeedCase:
    """One passage of so many tokens; cases like this differ in nothing but their length."""
    return SpeedCase(f"{tokens:,} tokens", 1, tokens, least=least, most=most, seconds=seconds)


CASES: Sequence[SpeedCase] = (
    SpeedCase("one passage of 400 words", 1, 400, "words", seconds=300.0),  # long enough for the slowest
    SpeedCase("20 passages of 150 tokens", 20, 150),
    SpeedCase("20 passages of 100 tokens", 20, 100),
    *map(of_length, (1_000, 3_000, 10_000, 30_000, 100_000)),
)
LONG_CASES: Sequence[SpeedCase] = (
    of_length(300_000, least=1, most=3, seconds=900.0),
    of_length(1_000_000, least=1, most=1, seconds=1_800.0),
)
