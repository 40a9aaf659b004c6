"""The report for machines: flat lists of plain values under stable keys."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from itertools import product
from typing import Any

from gist_core.evaluation.breakeven import LENGTHS, RATES, costs, fastest_reader
from gist_core.evaluation.likelihood import NO_CONTEXT
from gist_core.evaluation.report.estimates import Estimate
from gist_core.evaluation.report.prediction import Predictions
from gist_core.evaluation.report.summary import Summary
from gist_core.evaluation.report.tables import OURS, Table, behind_larger, losses

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
        "evidence": [_table(t) for t in summary.evidence],
        "losses": [
            {"set": x.name, "system": x.system, "rate": x.rate, "proven": x.proven, **_estimate(x.lead)}
            for x in losses(summary.sets)
        ],
        "behind_at_unequal_size": [
            {"set": x.name, "system": x.system, "rate": x.rate, "over": x.larger, **_estimate(x.lead)}
            for x in behind_larger(summary.sets)
        ],
        "outputs": [{"system": s, "rate": r, **_fields(found)} for (s, r), found in summary.outputs.items()],
        "reader": [
            {"set": name, "system": s, "rate": r, **_fields(found)}
            for name, own in summary.reading.items()
            for (s, r), found in own.items()
        ],
        "prediction": [one for found in summary.prediction for one in _prediction(found)],
        "speed": [dict(row) for row in summary.speed],
        "break_even": list(_break_even(summary)),
        "latency": [{"system": s, **p._asdict()} for s, points in summary.latency.items() for p in points],
    }


def _prediction(found: Predictions) -> Iterator[dict[str, Any]]:
    """Nats per token; the system ``none`` at rate 1 is without any text."""
    if found.nothing:
        yield {"group": found.name, "system": NO_CONTEXT, "rate": 1, "kl": _estimate(found.nothing), "gain": None}
    for (system, rate), own in found.found.items():
        yield {"group": found.name, "system": system, "rate": rate, **_fields(own)}


def _break_even(summary: Summary) -> Iterator[dict[str, Any]]:
    """For each length and rate the reader's speed below which ours saves time; null: any reader's."""
    if cost := costs(summary.speed).get(OURS):
        for tokens, rate in product(LENGTHS, RATES):
            yield {"tokens": tokens, "rate": rate, "reader_tokens_per_second": fastest_reader(tokens, rate, cost)}


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
            {
                "system": s,
                "rate": r,
                "tokens_kept": table.share.get((s, r)),
                "over": table.over.get((s, r), 0),
                **_estimate(found),
            }
            for (s, r), found in table.quality.items()
        ],
        "differences": [
            {
                "system": s,
                "rate": r,
                "verdict": lead.verdict,
                "at_equal_size": table.at_equal_size((s, r)),
                **_estimate(lead),
            }
            for (s, r), lead in table.leads.items()
        ],
    }


def _estimate(found: Estimate) -> dict[str, float]:
    return found._asdict()


def _fields(found: Any) -> Mapping[str, Any]:
    return dict(_named(asdict(found)))


def _named(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield name, dict(_named(value))
        else:
            yield name, value._asdict() if isinstance(value, Estimate) else value
