"""Which windows a network is given at once, by their lengths in tokens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def padded_batches(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Rows of like length, at most ``most`` padded tokens together; a longer row stands alone."""
    batches: list[list[int]] = []
    for row in _by_length(lengths):
        if batches and lengths[row] * (len(batches[-1]) + 1) <= most:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches


def balanced_batches(costs: Sequence[int], most: int, lanes: int) -> list[list[int]]:
    """Rows of like cost in batches that cost alike, as many as occupy all lanes to the end, where rows suffice.

    A batch costs at most ``most`` and what the dearest row does.
    """
    order, total = _by_length(costs), sum(costs)
    count = lanes * -(-total // (lanes * most))
    dear = np.asarray([costs[row] for row in order], dtype=np.int64)
    places = (2 * dear.cumsum() - dear) * count // max(2 * total, 1)
    return [[order[i] for i in np.flatnonzero(places == place)] for place in np.unique(places)]


def _by_length(lengths: Sequence[int]) -> list[int]:
    return sorted(range(len(lengths)), key=lengths.__getitem__)
