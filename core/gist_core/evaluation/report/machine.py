"""The report for machines: flat lists of plain values under stable keys."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from gist_core.evaluation.report.estimates import Estimate
from gist_core.evaluation.report.summary import Summary
from gist_core.evaluation.report.tables import OURS, Table, losses

VERSION = 1
_DIGITS = 6


def to_json(summary: Summary, about: Mapping[str, str]) -> str:
    """Everything the summary holds. No NaN and no infinity: what is not a number is null."""
    return json.dumps(plain(to_dict(summary, about)), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def to_dict(summary: Summary, about: Mapping[str, str]) -> dict[str, Any]:
    """The report as one mapping; percent wherever a share is meant, milliseconds for times."""
    return {
        "version": VERSION,
        "about": dict(about),
        "intervals": "95 % percentile bootstrap over records; of differences over pairs",
        "ours": OURS,
        "rates": list(summary.rates),
        "systems": list(summary.systems),
        "groups": [_table(t) for t in summary.groups],
        "sets": [_table(t) for t in summary.sets],
        "losses": [
            {"set": x.name, "system": x.system, "rate": x.rate, "proven": x.proven, **_estimate(x.lead)}
            for x in losses(summary.sets)
        ],
        "outputs": [{"system": s, "rate": r, **_fields(found)} for (s, r), found in summary.outputs.items()],
        "reader": [
            {"set": name, "system": s, "rate": r, **_fields(found)}
            for name, own in summary.reading.items()
            for (s, r), found in own.items()
        ],
        "speed": [dict(row) for row in summary.speed],
        "latency": [{"system": s, **p._asdict()} for s, points in summary.latency.items() for p in points],
    }


def plain(value: Any) -> Any:
    """The value with numbers rounded to six decimals and None for what JSON has no number for."""
    if isinstance(value, float):
        return round(value, _DIGITS) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(own) for key, own in value.items()}
    return [plain(own) for own in value] if isinstance(value, list | tuple) else value


def _table(table: Table) -> dict[str, Any]:
    return {
        "name": table.name,
        "sets": list(table.sets),
        "metric": table.metric,
        "records": table.records,
        "results": [
            {"system": s, "rate": r, "tokens_kept": table.share.get((s, r)), **_estimate(found)}
            for (s, r), found in table.quality.items()
        ],
        "differences": [
            {"system": s, "rate": r, "verdict": lead.verdict, **_estimate(lead)} for (s, r), lead in table.leads.items()
        ],
    }


def _estimate(found: Estimate) -> dict[str, float]:
    return found._asdict()


def _fields(found: Any) -> Mapping[str, Any]:
    return dict(_named(asdict(found)))


def _named(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        yield name, value._asdict() if isinstance(value, Estimate) else value
