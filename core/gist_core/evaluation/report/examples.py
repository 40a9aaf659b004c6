"""Which records to show: where ours keeps more than the others do on average, and where less."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gist_core.cases import Case
from gist_core.evaluation.report.groups import Rows, metrics_of
from gist_core.evaluation.report.tables import OURS

Cases = Callable[[str], Iterable[Case] | None]
_RATE = 10  # tight enough for systems to differ, loose enough for whole sentences
_SHOWN = 4
_A_SET = 1  # of either kind, so that one set does not take all places


@dataclass(frozen=True, slots=True)
class Example:
    """A record at one rate with the row of every system, ours first.

    Args:
        case: The question over its passages.
        rate: The rate of the rows.
        metric: The measure of the record's set.
        margin: Ours less the mean of the others on that measure; ours itself where there is no other.
        rows: By system.
    """

    case: Case
    rate: int
    metric: str
    margin: float
    rows: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class _Scored:
    set: str
    id: str
    ours: float
    margin: float
    rows: Mapping[str, Mapping[str, Any]]


def choose(rows: Rows, cases: Cases) -> tuple[list[Example], list[Example]]:
    """The best and the worst records of ours, at most four of each, spread over the sets.

    Best: ours is above the mean of the others. Worst: ours is below it, or has lost everything.
    """
    rates = sorted({row["rate"] for row in rows})
    if not rates:
        return [], []
    rate = _RATE if _RATE in rates else rates[len(rates) // 2]
    metrics = metrics_of(rows)
    scored = _scored([row for row in rows if row["rate"] == rate], metrics)
    best = _spread(s for s in sorted(scored, key=lambda s: (-s.margin, s.set, s.id)) if s.margin > 0)
    worst = _spread(s for s in sorted(scored, key=lambda s: (s.margin, s.set, s.id)) if s.margin < 0 or s.ours == 0)
    known = _cases([*best, *worst], cases)
    return _examples(best, known, rate, metrics), _examples(worst, known, rate, metrics)


def _scored(rows: Rows, metrics: Mapping[str, str]) -> list[_Scored]:
    records: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in rows:
        if row["set"] in metrics and row.get(metrics[row["set"]]) is not None:
            records[row["set"], row["id"]][row["system"]] = row
    found = []
    for (name, id_), own in records.items():
        if OURS not in own or own[OURS].get("kept") is None:
            continue
        value = {system: float(row[metrics[name]]) for system, row in own.items()}
        others = [v for system, v in value.items() if system != OURS]
        margin = value[OURS] - (sum(others) / len(others) if others else 0.0)
        ordered = dict(sorted(own.items(), key=lambda item: item[0] != OURS))
        found.append(_Scored(name, id_, value[OURS], margin, ordered))
    return found


def _spread(ordered: Iterable[_Scored]) -> list[_Scored]:
    """The first of every set, then the second of every set, and so on; within a round in the order given."""
    rounds: dict[int, list[_Scored]] = defaultdict(list)
    seen: dict[str, int] = defaultdict(int)
    for scored in ordered:
        rounds[seen[scored.set] // _A_SET].append(scored)
        seen[scored.set] += 1
    return [scored for number in sorted(rounds) for scored in rounds[number]][:_SHOWN]


def _cases(wanted: Iterable[_Scored], cases: Cases) -> dict[tuple[str, str], Case]:
    """The cases of the records wanted; a set is read only as far as needed."""
    ids: dict[str, set[str]] = defaultdict(set)
    for scored in wanted:
        ids[scored.set].add(scored.id)
    found = {}
    for name, missing in ids.items():
        for case in cases(name) or ():
            if case.id in missing:
                found[name, case.id] = case
                missing.discard(case.id)
            if not missing:
                break
    return found


def _examples(
    chosen: Iterable[_Scored], known: Mapping[tuple[str, str], Case], rate: int, metrics: Mapping[str, str]
) -> list[Example]:
    return [
        Example(known[s.set, s.id], rate, metrics[s.set], s.margin, s.rows) for s in chosen if (s.set, s.id) in known
    ]
