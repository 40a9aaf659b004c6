"""How sure a mean is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def bootstrap_interval(values: Sequence[float], seed: int = 0, draws: int = 2_000) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean; of paired differences when given those."""
    data: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    if not len(data):
        return (float("nan"), float("nan"))
    picks = np.random.default_rng(seed).integers(0, len(data), size=(draws, len(data)))
    low, high = np.percentile(data[picks].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)
