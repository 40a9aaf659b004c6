"""How long a call takes: every system on the same fresh texts, turn about, and how the time grows with the length.

``gist evaluate --speed`` writes the rows; ``SpeedRow`` says what the figures are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NotRequired, TypedDict

import numpy as np

from gist_core.budget import Budget
from gist_core.compressor import TextCompressor
from gist_core.evaluation.fresh import FreshTexts
from gist_core.evaluation.host import machine_name, peak_memory
from gist_core.evaluation.rows import appending
from gist_core.evaluation.speed_cases import CASES, LONG_CASES, SpeedCase
from gist_core.passage import Passage
from gist_core.tokens import token_counter

TOKENIZER = "cl100k_base"
BUDGET = Budget(ratio=0.25, tokenizer=TOKENIZER)
RANDOM = "random weights"
"""How the ``model_id`` of a system ends whose weights are random: its time means something, its output does not."""


class SpeedRow(TypedDict):
    """One system on one case. Calls are warm: a first one is not counted. No times where the case was left out."""

    system: str
    name: str
    tokens_in: int
    """Median over the calls; passages joined by a blank line, cl100k_base."""
    passages: int
    calls: int
    p50_ms: float | None
    p99_ms: float | None
    """Interpolated: of few calls it is next to the slowest."""
    tokens_per_second: float | None
    """``tokens_in`` in the median time."""
    peak_mib: float | None
    """Of one such call in a fresh process; measured on the longest case alone."""
    machine: str
    weights: Literal["trained", "random"]
    left_out: NotRequired[str]
    """Why there are no times."""


def run_speed(
    systems: Mapping[str, TextCompressor],
    out: Path,
    texts: Sequence[str],
    *,
    cases: Sequence[SpeedCase] = CASES,
    longest: Collection[str] = (),
    long_cases: Sequence[SpeedCase] = LONG_CASES,
) -> list[SpeedRow]:
    """Measure the systems; a row for each case and system.

    Args:
        systems: What compresses, by name.
        out: File of JSON lines, made anew; a row is written as soon as it is measured.
        texts: Where the words of the cases come from.
        cases: For all systems.
        longest: The systems that are measured on ``long_cases`` too, and whose peak memory is, on the last of them.
        long_cases: Longer ones.

    Returns:
        The rows.
    """
    bench = _Bench(FreshTexts(texts, TOKENIZER), machine_name())
    chosen = {name: system for name, system in systems.items() if name in longest}
    rows: list[SpeedRow] = []
    out.unlink(missing_ok=True)
    with appending(out) as append:
        for row in _all(bench, systems, chosen, cases, long_cases):
            append(row)
            rows.append(row)
    return rows


def exponent(rows: Iterable[SpeedRow], system: str) -> float | None:
    """How the time of one passage grows with its length: the slope of log time over log tokens; linear is 1.

    Returns:
        None below two lengths.
    """
    own = [r for r in rows if r["system"] == system and r["passages"] == 1 and r["name"].endswith(" tokens")]
    points = [(math.log(r["tokens_in"]), math.log(r["p50_ms"])) for r in own if r["p50_ms"]]
    if len(points) < 2:
        return None
    tokens, times = np.array(points).T
    return float(np.polyfit(tokens, times, 1)[0])


def _all(
    bench: _Bench,
    systems: Mapping[str, TextCompressor],
    chosen: Mapping[str, TextCompressor],
    cases: Sequence[SpeedCase],
    long_cases: Sequence[SpeedCase],
) -> Iterator[SpeedRow]:
    for case in cases:
        yield from bench.rows(case, systems)
    for case in long_cases if chosen else ():
        for row in bench.rows(case, chosen):
            if case == long_cases[-1] and "left_out" not in row:
                row["peak_mib"] = bench.memory(case, chosen[row["system"]])
            yield row


class _Bench:
    """Times calls on fresh texts, and remembers how fast a system has been at best, to know what it cannot do."""

    def __init__(self, fresh: FreshTexts, machine: str) -> None:
        self._fresh = fresh
        self._machine = machine
        self._pace: dict[str, float] = {}  # seconds a token

    def rows(self, case: SpeedCase, systems: Mapping[str, TextCompressor]) -> Iterator[SpeedRow]:
        """The rows of one case."""
        times, sizes = self._times(case, systems)
        for name, system in systems.items():
            row = self._row(case, name, int(np.median(sizes)), times[name])
            row["weights"] = "random" if system.model_id.endswith(RANDOM) else "trained"
            yield row

    def memory(self, case: SpeedCase, system: TextCompressor) -> float | None:
        """MiB of a call in a fresh process."""
        return peak_memory(system, case.draw(self._fresh), self._fresh.query(), BUDGET)

    def _times(
        self, case: SpeedCase, systems: Mapping[str, TextCompressor]
    ) -> tuple[dict[str, list[float]], list[int]]:
        """Seconds of the calls of each system, none where the case is too long for it; tokens of each text."""
        times: dict[str, list[float]] = {name: [] for name in systems}
        sizes = [_size(first := case.draw(self._fresh))]
        going = {name: s for name, s in systems.items() if self._can(case, name, sizes[0])}
        for name, system in going.items():
            self._seconds(name, system, first, sizes[0])  # loads, and sets the pace
        going = {name: s for name, s in going.items() if self._can(case, name, sizes[0])}
        while going:
            passages = case.draw(self._fresh)
            sizes.append(_size(passages))
            for name, system in going.items():
                times[name].append(self._seconds(name, system, passages, sizes[-1]))
            going = {name: s for name, s in going.items() if _goes_on(case, times[name])}
        return times, sizes

    def _seconds(self, name: str, system: TextCompressor, passages: Sequence[Passage], tokens: int) -> float:
        query = self._fresh.query()
        began = time.perf_counter()
        system.compress(passages, query=query, budget=BUDGET)
        spent = time.perf_counter() - began
        self._pace[name] = min(spent / tokens, self._pace.get(name, math.inf))
        return spent

    def _can(self, case: SpeedCase, name: str, tokens: int) -> bool:
        return case.least * tokens * self._pace.get(name, 0.0) <= case.seconds

    def _row(self, case: SpeedCase, name: str, tokens: int, times: Sequence[float]) -> SpeedRow:
        p50, p99 = (float(np.percentile(times, q)) if times else None for q in (50, 99))
        row: SpeedRow = {
            "system": name,
            "name": case.name,
            "tokens_in": tokens,
            "passages": case.passages,
            "calls": len(times),
            "p50_ms": 1000 * p50 if p50 else None,
            "p99_ms": 1000 * p99 if p99 else None,
            "tokens_per_second": tokens / p50 if p50 else None,
            "peak_mib": None,
            "machine": self._machine,
            "weights": "trained",
        }
        if not times:
            expected = case.least * tokens * self._pace[name]
            row["left_out"] = f"{case.least} calls would take {expected:.0f} s, above {case.seconds:.0f} s."
        return row


def _goes_on(case: SpeedCase, times: Sequence[float]) -> bool:
    return len(times) < case.least or (len(times) < case.most and sum(times) + times[-1] <= case.seconds)


def _size(passages: Sequence[Passage]) -> int:
    return token_counter(TOKENIZER).count("\n\n".join(p.text for p in passages))
