"""From what context length on compression pays, in time and in money. Pure.

The model is a straight line: a compressor takes ``overhead + tokens * per_token`` seconds (fitted to measured speed
rows), the reader reads ``speed`` tokens per second, and of n tokens n / rate are sent. A reader's prefill grows faster
than a line on long contexts, which makes compression pay sooner than said here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gist_core.errors import InvalidInputError

RATES = (2, 4, 10, 20)
LENGTHS = (1_000, 4_000, 16_000, 64_000, 128_000)


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of a compression call: ``overhead`` plus ``per_token`` times the tokens that come in."""

    overhead: float
    per_token: float

    def seconds(self, tokens: float) -> float:
        """Seconds for a context of so many tokens."""
        return self.overhead + self.per_token * tokens


@dataclass(frozen=True, slots=True)
class Prices:
    """What tokens and time cost.

    Args:
        per_million: Price of a million input tokens of the reader.
        reader_speed: Tokens of prompt the reader reads per second (prefill).
        machine_hour: Price of an hour of the machine that compresses; 0 if it is there anyway.

    Raises:
        InvalidInputError: A price is negative, or the speed is not positive.
    """

    per_million: float
    reader_speed: float
    machine_hour: float = 0.0

    def __post_init__(self) -> None:
        if not (self.per_million >= 0 and self.machine_hour >= 0 and self.reader_speed > 0):
            raise InvalidInputError(f"{self} cannot be.", hint="Prices are 0 or more, a speed is above 0.")


def fit_cost(points: Sequence[tuple[float, float]]) -> Cost:
    """The least-squares line through (tokens, seconds), neither of its parts below 0; one point has no overhead.

    Raises:
        InvalidInputError: There are no points.
    """
    if not points:
        raise InvalidInputError("There is no measured speed.", hint="Measure it with gist evaluate --speed.")
    mean_x, mean_y = (sum(column) / len(points) for column in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    through_zero = Cost(0.0, sum(x * y for x, y in points) / max(sum(x * x for x, _ in points), 1e-12))
    if not spread:
        return through_zero
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    overhead = mean_y - slope * mean_x
    if overhead < 0:
        return through_zero
    return Cost(overhead, slope) if slope >= 0 else Cost(mean_y, 0.0)


def costs(speed_rows: Iterable[Mapping[str, Any]]) -> dict[str, Cost]:
    """The cost of every system of ``speed.jsonl``, from its median latencies; texts it was not timed on left out."""
    points: dict[str, list[tuple[float, float]]] = {}
    for row in speed_rows:
        if row.get("p50_ms") is not None:
            points.setdefault(row["system"], []).append((row["tokens_in"], row["p50_ms"] / 1000))
    return {system: fit_cost(found) for system, found in points.items()}


def seconds_saved(tokens: float, rate: float, cost: Cost, prices: Prices) -> float:
    """Time until the reader has read its prompt, without compression less with it; negative where it costs time."""
    return tokens * (1 - 1 / rate) / prices.reader_speed - cost.seconds(tokens)


def fastest_reader(tokens: float, rate: float, cost: Cost) -> float:
    """Tokens a second: of a reader whose prefill is slower compression saves time; infinite if it costs none."""
    spent = cost.seconds(tokens)
    return tokens * (1 - 1 / rate) / spent if spent > 0 else math.inf


def money_saved(tokens: float, rate: float, cost: Cost, prices: Prices) -> float:
    """Price of the tokens not sent less that of the machine's time."""
    return tokens * (1 - 1 / rate) * prices.per_million / 1e6 - cost.seconds(tokens) * prices.machine_hour / 3600


def time_breaks_even(rate: float, cost: Cost, prices: Prices) -> float:
    """Tokens of context from which on compression saves time; infinite if never."""
    return _zero(cost.overhead, (1 - 1 / rate) / prices.reader_speed - cost.per_token)


def money_breaks_even(rate: float, cost: Cost, prices: Prices) -> float:
    """Tokens of context from which on compression saves money; infinite if never."""
    second = prices.machine_hour / 3600
    return _zero(cost.overhead * second, (1 - 1 / rate) * prices.per_million / 1e6 - cost.per_token * second)


def table(cost: Cost, prices: Prices, rates: Sequence[float] = RATES, lengths: Sequence[int] = LENGTHS) -> str:
    """Markdown: for each rate where compression begins to pay, and what it saves at some lengths."""
    saved = [f"saved at {n:,} tokens" for n in lengths]
    head = ["rate", "saves time from", "saves money from", *saved]
    lines = [_line(head), _line(["---", *(["---:"] * (len(head) - 1))])]
    for rate in rates:
        cells = [
            f"{seconds_saved(n, rate, cost, prices):+.2f} s, {1000 * money_saved(n, rate, cost, prices):+.2f} per 1,000"
            for n in lengths
        ]
        starts = (time_breaks_even(rate, cost, prices), money_breaks_even(rate, cost, prices))
        lines.append(_line([f"{rate:g}x", *map(_length, starts), *cells]))
    return "\n".join(lines) + "\n"


def _zero(fixed: float, gain: float) -> float:
    """Where ``gain * tokens`` overtakes ``fixed``."""
    if gain <= 0:
        return math.inf
    return fixed / gain


def _length(tokens: float) -> str:
    if math.isinf(tokens):
        return "never"
    return f"{math.ceil(tokens):,} tokens" if tokens else "the first token"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
