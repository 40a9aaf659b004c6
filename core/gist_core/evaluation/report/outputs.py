"""What every output must hold whatever the question: entities, no invented value, the budget. And what failed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gist_core.evaluation.entities import VALUE_KINDS
from gist_core.evaluation.report.estimates import Estimate, estimate
from gist_core.evaluation.report.groups import Rows
from gist_core.evaluation.report.tables import Key


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value: the share that was kept, percent, and how many were invented."""

    kept: Estimate | None
    invented: int


@dataclass(frozen=True, slots=True)
class Outputs:
    """Of one system at one rate, over all sets.

    Args:
        outputs: How many were measured.
        errors: Records on which the system raised.
        entities: Numbers, dates, identifiers and names of the source that stand in the output, percent.
        tokens_in: Mean tokens of the sources.
        tokens_out: Mean tokens of the outputs.
        fill: Tokens used of the budget, percent, where the source has at least as many.
        over: Outputs over the budget.
        altered: Outputs with a word that is not in the source.
        inventing: Outputs with a value that is not in the source.
        invented: Such values in all of them.
        kinds: By kind of value, as far as the rows tell.
    """

    outputs: int
    errors: int
    entities: Estimate | None
    tokens_in: float | None
    tokens_out: float | None
    fill: Estimate | None
    over: int
    altered: int
    inventing: int
    invented: int
    kinds: Mapping[str, Kind]


def outputs(rows: Rows) -> dict[Key, Outputs]:
    """By system and rate, in the order of the rows."""
    by_key: dict[Key, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_key[row["system"], row["rate"]].append(row)
    return {key: _outputs(own) for key, own in by_key.items()}


def _outputs(rows: Rows) -> Outputs:
    measured = [row for row in rows if "error" not in row]
    invented = [int(row.get("invented") or 0) for row in measured]
    return Outputs(
        outputs=len(measured),
        errors=len(rows) - len(measured),
        entities=_percent(measured, lambda row: row.get("entities")),
        tokens_in=_mean([row["tokens_in"] for row in measured if row.get("tokens_in") is not None]),
        tokens_out=_mean([row["tokens"] for row in measured if row.get("tokens") is not None]),
        fill=_percent(measured, _fill),
        over=sum(bool(row.get("over")) for row in measured),
        altered=sum(bool(row.get("altered")) for row in measured),
        inventing=sum(count > 0 for count in invented),
        invented=sum(invented),
        kinds=_kinds([row for row in measured if row.get("kinds") is not None]),
    )


def _kinds(rows: Sequence[Mapping[str, Any]]) -> dict[str, Kind]:
    """Rows of earlier releases do not tell kinds apart."""
    names = [kind.value for kind in VALUE_KINDS if any(kind.value in row["kinds"] for row in rows)]
    return {name: _kind([row for row in rows if name in row["kinds"]], name) for name in names}


def _kind(rows: Sequence[Mapping[str, Any]], name: str) -> Kind:
    def kept(row: Mapping[str, Any]) -> float | None:
        found, of, _ = row["kinds"][name]
        return found / of if of else None

    return Kind(_percent(rows, kept), sum(row["kinds"][name][2] for row in rows))


def _mean(found: Sequence[float]) -> float | None:
    return sum(found) / len(found) if found else None


def _fill(row: Mapping[str, Any]) -> float | None:
    budget = row.get("budget")
    return row["tokens"] / budget if budget and row.get("tokens_in", 0) >= budget else None


def _percent(rows: Sequence[Mapping[str, Any]], value: Callable[[Mapping[str, Any]], float | None]) -> Estimate | None:
    found = ((f"{row['set']}/{row['id']}", value(row)) for row in rows)
    return estimate({record: 100 * share for record, share in found if share is not None})
