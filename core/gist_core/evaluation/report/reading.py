"""A reader's answers: exact match and F1 from the compressed context beside the full one, and flips both ways."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gist_core.evaluation.flips import FULL, flips
from gist_core.evaluation.report.estimates import Estimate, Values, estimate
from gist_core.evaluation.report.groups import Rows
from gist_core.evaluation.report.tables import Key

_DRAWS = 2_000


@dataclass(frozen=True, slots=True)
class Reading:
    """Of one system at one rate; percent, over records answered from the full context too.

    Args:
        exact: Exact match.
        full_exact: Exact match of the same records from the full context.
        f1: F1 of words.
        full_f1: F1 of the same records from the full context.
        ratio: F1 as percent of the full context's; None where that is zero.
        lost: Answers right with the full context and wrong with the compressed one.
        gained: The other way round.
    """

    exact: Estimate | None
    full_exact: Estimate | None
    f1: Estimate | None
    full_f1: Estimate | None
    ratio: Estimate | None
    lost: int
    gained: int


def readings(answers: Rows) -> dict[Key, Reading]:
    """By system and rate, in the order of the rows; records without an answer from the full context are left out."""
    exact: dict[Key, dict[str, float]] = defaultdict(dict)
    f1: dict[Key, dict[str, float]] = defaultdict(dict)
    for row in answers:
        key, record = (row["system"], row["rate"]), f"{row['set']}/{row['id']}"
        exact[key][record] = 100 * float(row["exact"])
        f1[key][record] = 100 * float(row["f1"])
    found = {}
    for key, tally in flips(answers).items():
        both = [record for record in exact[key] if record in exact[FULL, 1]]
        own, full = _over(both, f1[key]), _over(both, f1[FULL, 1])
        found[key] = Reading(
            exact=estimate(_over(both, exact[key])),
            full_exact=estimate(_over(both, exact[FULL, 1])),
            f1=estimate(own),
            full_f1=estimate(full),
            ratio=ratio_of_means(own, full),
            lost=len(tally.lost),
            gained=len(tally.gained),
        )
    return found


def ratio_of_means(part: Values, whole: Values, seed: int = 0) -> Estimate | None:
    """``100 * mean(part) / mean(whole)`` with the interval of drawing records, both values of a record together.

    None where the whole's mean is zero. Draws whose whole is zero say nothing and are left out.
    """
    data: NDArray[np.float64] = np.asarray([[part[r] for r in whole], list(whole.values())], dtype=np.float64)
    if not data.size or not data[1].mean():
        return None
    picks = np.random.default_rng(seed).integers(0, data.shape[1], size=(_DRAWS, data.shape[1]))
    means = data[:, picks].mean(axis=2)
    drawn = means[0][means[1] > 0] / means[1][means[1] > 0]
    low, high = np.percentile(drawn, [2.5, 97.5])
    mean = data[0].mean() / data[1].mean()
    return Estimate(100 * float(mean), 100 * float(low), 100 * float(high), data.shape[1])


def _over(records: Sequence[str], values: Values) -> Values:
    return {record: values[record] for record in records}
