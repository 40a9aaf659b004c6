"""Means with their intervals, of one system and of the paired difference of two. Values are keyed by record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from gist_core.intervals import bootstrap_interval

Values = Mapping[str, float]
Verdict = Literal["ahead", "open", "behind"]


class Estimate(NamedTuple):
    """A mean over ``n`` records with its 95 % percentile bootstrap interval."""

    mean: float
    low: float
    high: float
    n: int

    @property
    def verdict(self) -> Verdict:
        """Of a difference: whether the whole interval lies above zero, below it, or neither."""
        return "ahead" if self.low > 0 else "behind" if self.high < 0 else "open"


def estimate(values: Values) -> Estimate | None:
    """The mean over records; None without records."""
    if not values:
        return None
    found = list(values.values())
    return Estimate(sum(found) / len(found), *bootstrap_interval(found), len(found))


def paired(ours: Values, other: Values) -> Estimate | None:
    """The mean of ``ours - other`` over the records that both have, in the order of ``ours``; None without any."""
    return estimate({record: value - other[record] for record, value in ours.items() if record in other})


def cell(values: Values) -> str:
    """The mean of values by record with its interval; "-" without values."""
    found = estimate(values)
    return f"{found.mean:.1f} ({found.low:.0f}-{found.high:.0f})" if found else "-"


def difference(ours: Values, other: Values) -> str:
    """The mean paired difference with its interval, over the records that both have."""
    found = paired(ours, other)
    return f"{found.mean:+.1f} ({found.low:+.1f} to {found.high:+.1f})" if found else "-"
