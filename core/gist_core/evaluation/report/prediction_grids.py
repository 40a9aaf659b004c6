"""The tables of a language model's predictions."""

from __future__ import annotations

from gist_core.evaluation.report.estimates import Estimate
from gist_core.evaluation.report.grids import NOTHING, Cell, Grid, by_rate, each_of, percent
from gist_core.evaluation.report.prediction import Predictions
from gist_core.evaluation.report.summary import Summary


def divergence(found: Predictions, summary: Summary) -> Grid:
    """Mean divergence from the prediction with the full texts, nats per token of the answer."""
    nothing = f"; without any text {_nats(found.nothing).text}" if found.nothing else ""
    title = f"{found.name}: divergence, nats a token ({found.records:,} records{nothing})"
    return by_rate(title, summary, _systems(found), each_of(found.found, lambda own: _nats(own.kl, found.records)))


def gain(found: Predictions, summary: Summary) -> Grid:
    """What the outputs add to the likelihood of the answer, in percent of what the full texts add."""
    title = f"{found.name}: gain, % of that of the full texts ({found.records:,} records)"
    return by_rate(title, summary, _systems(found), each_of(found.found, lambda own: percent(own.gain, found.records)))


def _systems(found: Predictions) -> list[str]:
    return list(dict.fromkeys(system for system, _ in found.found))


def _nats(found: Estimate | None, usual: int | None = None) -> Cell:
    if found is None:
        return NOTHING
    count = f"n {found.n:,}" if usual is not None and found.n != usual else ""
    return Cell(_figure(found.mean), f"{_figure(found.low)}-{_figure(found.high)}", note=count)


def _figure(nats: float) -> str:
    return f"{nats:.3f}" if nats >= 0.01 or not nats else f"{nats:.1e}"
