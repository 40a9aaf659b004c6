"""How the time of a call grows with the length of what comes in."""

from __future__ import annotations

import math
from collections import defaultdict
from statistics import median
from typing import NamedTuple

from gist_core.evaluation.report.groups import Rows


class Point(NamedTuple):
    """Calls of about one length: tokens in and milliseconds of a call, the medians of ``calls`` calls."""

    tokens: float
    milliseconds: float
    calls: int


Lines = dict[str, list[Point]]  # by system, the shortest length first


def measured_apart(speed: Rows) -> Lines:
    """The median times of a speed measurement by tokens in; empty unless some system has two lengths."""
    lines: Lines = defaultdict(list)
    for row in speed:
        if row.get("tokens_in") and row.get("p50_ms"):
            lines[row["system"]].append(Point(row["tokens_in"], row["p50_ms"], row.get("calls", 0)))
    lines = {system: sorted(points) for system, points in lines.items()}
    return lines if any(len({p.tokens for p in points}) > 1 for points in lines.values()) else {}


def along_the_way(rows: Rows) -> Lines:
    """The times of the calls whose quality was measured: medians over lengths between powers of two."""
    bins: dict[str, dict[int, list[tuple[int, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        if row.get("tokens_in") and row.get("seconds") is not None:
            bins[row["system"]][int(math.log2(row["tokens_in"]))].append((row["tokens_in"], 1000 * row["seconds"]))
    return {system: [_point(own[size]) for size in sorted(own)] for system, own in bins.items()}


def _point(calls: list[tuple[int, float]]) -> Point:
    return Point(median(t for t, _ in calls), median(ms for _, ms in calls), len(calls))
