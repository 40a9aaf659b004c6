"""Signals of a unit -> one logit: a small learned network for each mode."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args, overload

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mode = Literal["query", "foreign", "free", "rows"]
"""With a query, with one in a language of which the vocabulary can only spell the words, without one; and the rows of
tables in calls of the first kind."""
MODES: tuple[Mode, ...] = get_args(Mode)
SIGNALS = (
    "keep",
    "relevance",
    "unit_cosine",
    "window_cosine",
    "central",
    "unit_bm25",
    "window_bm25",
    "pairs",
    "length",
    "distinct",
    "unit_cosine_z",
    "window_cosine_z",
    "unit_grams",
    "passage_grams",
    "near_grams",
)


@dataclass(frozen=True, slots=True)
class Fusion:
    """A linear part and one hidden layer: ``x @ linear + tanh(x @ hidden + hidden_bias) @ output + bias``.

    Shapes for F signals and K hidden units: ``mean``, ``scale``, ``linear`` (F,), ``hidden`` (F, K),
    ``hidden_bias``, ``output`` (K,), ``bias`` (1,). ``x`` is the signals less ``mean`` over ``scale``.
    """

    mean: Floats
    scale: Floats
    linear: Floats
    hidden: Floats
    hidden_bias: Floats
    output: Floats
    bias: Floats

    def __call__(self, signals: Floats) -> Floats:
        """(U, F) signals in the order of ``SIGNALS`` -> (U,) logits."""
        x = (signals - self.mean) / self.scale
        logits = x @ self.linear + np.tanh(x @ self.hidden + self.hidden_bias) @ self.output + self.bias
        return np.asarray(logits, dtype=np.float32)

    def widened(self) -> Fusion:
        """The same for all of ``SIGNALS``: those that came after it was learned count for nothing."""
        more = len(SIGNALS) - len(self.linear)
        if not more:
            return self
        zeros, ones = np.zeros(more, np.float32), np.ones(more, np.float32)
        return replace(
            self,
            mean=np.append(self.mean, zeros),
            scale=np.append(self.scale, ones),
            linear=np.append(self.linear, zeros),
            hidden=np.vstack([self.hidden, np.zeros((more, self.hidden.shape[1]), np.float32)]),
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """``slope * logit + offset``: the logit of a share of questions, those whose best evidence scores lower.

    The order of units is not touched.

    Raises:
        ValueError: The slope is not above zero, so that it would be, or a number is not finite.
    """

    slope: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.slope < math.inf and math.isfinite(self.offset)):
            raise ValueError(
                f"a calibration of slope {self.slope!r}, not above 0 or infinite, or offset {self.offset!r}"
            )

    @overload
    def __call__(self, logits: float) -> float: ...

    @overload
    def __call__(self, logits: Floats) -> Floats: ...

    def __call__(self, logits: float | Floats) -> float | Floats:
        """A logit, or (U,) of them -> the calibrated ones."""
        return self.slope * logits + self.offset

    def inverse(self, calibrated: float) -> float:
        """The logit that this one comes from."""
        return (calibrated - self.offset) / self.slope


AS_IT_IS = Calibration()


@dataclass(frozen=True, slots=True)
class Rating:
    """How the units of a mode are rated: the signals are fused, then calibrated.

    Attributes:
        fusion: Gives each unit a logit.
        length_exponent: How much the logarithm of a unit's size counts against what the fusion gives it.
        calibration: To the share of questions on the mean over sets; puts sentences and rows of tables on one scale.
        caution: From there to the share in the worst set: the scores that callers see and that thresholds are held
            against, so that a threshold t loses about the share t of the answers where it loses most
            (core/decisions/0022-thresholds.md).
    """

    fusion: Fusion
    length_exponent: float = 0.0
    calibration: Calibration = AS_IT_IS
    caution: Calibration = AS_IT_IS

    def __call__(self, signals: Floats) -> Floats:
        """(U, F) signals -> (U,) logits that units are ranked by."""
        return self.calibration(self.fusion(signals))

    @property
    def exponent(self) -> float:
        """How much the logarithm of a unit's size counts against its logit."""
        return self.length_exponent * self.calibration.slope


def untrained(hidden: int = 8) -> Fusion:
    """Equal weights for the signals a first trial found to add up; what ``gist train`` starts the fusion from."""
    count = len(SIGNALS)
    used = {"keep": 1.0, "relevance": 0.5, "unit_cosine": 6.0, "window_cosine": 6.0}
    zeros = np.zeros
    return Fusion(
        zeros(count, np.float32),
        np.ones(count, np.float32),
        np.array([used.get(name, 0.0) for name in SIGNALS], np.float32),
        zeros((count, hidden), np.float32),
        zeros(hidden, np.float32),
        zeros(hidden, np.float32),
        zeros(1, np.float32),
    )
