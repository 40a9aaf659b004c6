"""What units cost in tokens: counted where counting is cheap, estimated where the counter is a user's function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

import numpy as np

from gist_core.tokens import TokenCounter, token_counter

Feature = Callable[[str], int]


class Sizes(Protocol):
    """Sizes of texts in tokens. ``margin`` is by how much one may be wrong; ``overhead`` what a text costs less,
    in sums, than its size alone.
    """

    @property
    def margin(self) -> float: ...  # noqa: D102 - as above
    @property
    def overhead(self) -> float: ...  # noqa: D102 - as above
    @property
    def exact(self) -> bool: ...  # noqa: D102 - whether sizes are counted

    def many(self, texts: Sequence[str]) -> Sequence[float]:
        """The size of each text, in tokens."""


class CountedSizes:
    """Exact sizes of texts alone."""

    margin = 0.0
    overhead = 0.0
    exact = True

    def __init__(self, counter: TokenCounter) -> None:
        self.many = counter.count_many


@dataclass(slots=True)
class EstimatedSizes:
    """``slope * feature(text) + intercept``."""

    feature: Feature
    slope: float
    intercept: float
    margin: float
    exact: bool = False

    @property
    def overhead(self) -> float:
        """The intercept is paid once for all; a unit brings a space or a line break along instead."""
        return self.intercept - self.slope * self.feature(" ")

    def many(self, texts: Sequence[str]) -> list[float]:
        """The estimated size of each text, in tokens."""
        return [max(0.0, self.slope * self.feature(text) + self.intercept) for text in texts]


class RememberingCounter:
    """A counter that asks each whole text once; the empty text has no tokens. Lives for one call.

    Of a text it remembers a hash: a call may count thousands of joined texts, each nearly as long as all of them.
    """

    def __init__(self, counter: TokenCounter) -> None:
        self.name, self.is_callable = counter.name, counter.is_callable
        self._counter = counter
        self._known: dict[bytes, int] = {}

    def count(self, text: str) -> int:
        """Number of tokens of ``text``."""
        if not text:
            return 0
        key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if key not in self._known:
            self._known[key] = self._counter.count(text)
        return self._known[key]

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text; remembered only for a function."""
        return [self.count(text) for text in texts] if self.is_callable else self._counter.count_many(texts)


def sizes_for(counter: TokenCounter, text: str) -> Sizes:
    """Exact sizes for a tokenizer; for a function, estimates fitted to its counts of about ten parts of ``text``."""
    if not counter.is_callable:
        return CountedSizes(counter)
    samples = _samples(text)
    counts = [counter.count(sample) for sample in samples]
    fits = [_fit(feature, samples, counts) for feature in (_characters, _bytes, _words)]
    if min(fit.margin for fit in fits) > 1:
        fits.append(_fit(token_counter("o200k_base").count, samples, counts))
    best = min(fits, key=lambda fit: fit.margin)
    best.margin = max(1.0, best.margin)
    return best


def _samples(text: str) -> list[str]:
    """The whole, and parts of it of falling length from different places."""
    size = len(text)
    parts = {text: None}
    for power, place in ((1, 0.0), (1, 1.0), (2, 0.4), (3, 0.7), (4, 0.2), (5, 0.9), (6, 0.5), (8, 0.1)):
        length = max(size >> power, 1)
        start = int(place * (size - length))
        parts[text[start : start + length]] = None
    return [part for part in parts if part]


def _fit(feature: Feature, samples: Sequence[str], counts: Sequence[int]) -> EstimatedSizes:
    """Weighted least squares: an error weighs less in a long text. ``margin`` is the largest weighted error."""
    x = np.array([feature(sample) for sample in samples], dtype=float)
    y = np.array(counts, dtype=float)
    weight = 1 / np.sqrt(y + 1)
    columns = np.stack([x, np.ones_like(x)], axis=1)
    slope, intercept = np.linalg.lstsq(columns * weight[:, None], y * weight, rcond=None)[0]
    errors = np.abs(columns @ np.array([slope, intercept]) - y) * weight / weight.max(initial=1e-9)
    return EstimatedSizes(feature, float(slope), float(intercept), float(errors.max(initial=0.0)))


def _characters(text: str) -> int:
    return len(text)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _words(text: str) -> int:
    return len(text.split())
