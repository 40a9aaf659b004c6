"""Line charts over steps as a few lines of SVG, for pages that must draw where matplotlib is not installed.

Pure: values in, HTML out. Lines are told apart by colour and by dashes; text and axes take the colour of the page's
text, the ground is transparent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gist_core.highlight import escape

Floats = NDArray[np.float64]
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#c06090", "#a07800", "#8565c4")  # at least 3:1 on white and near black
DASHES = ("", "7 3", "7 3 1.5 3", "3 2")
DOTTED = "1 3.5"
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 400, 250, 46, 8, 8, 38  # units of a chart, and of its margins

STYLE = """
.gist-charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  gap: 1.5rem 2rem; margin: 1.25rem 0 0; }
figure { margin: 0; min-width: 0; }
figcaption { font-weight: 600; font-size: .95rem; }
figure > svg { display: block; width: 100%; height: auto; fill: none; stroke-linecap: round; stroke-linejoin: round; }
figure text { fill: currentColor; stroke: none; font: 12px system-ui, sans-serif; font-variant-numeric: tabular-nums; }
.gist-grid { stroke: currentColor; opacity: .16; }
.gist-level { stroke: currentColor; opacity: .6; stroke-dasharray: 4 3; }
.gist-shade { fill: rgba(128,128,128,.22); stroke: none; }
.gist-raw { stroke-width: .8; opacity: .6; }
.gist-line { stroke-width: 2; }
.gist-legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; list-style: none; margin: .2rem 0 0; padding: 0;
  font-size: .85rem; }
.gist-legend svg { width: 1.9rem; height: .6rem; margin-right: .35rem; fill: none; }
.gist-note { margin: .2rem 0 0; font-size: .85rem; opacity: .8; overflow-wrap: anywhere; }
"""


@dataclass(frozen=True, slots=True)
class Series:
    """A line: ``values`` at ``steps``, which grow; NaN where a value should be and is none.

    A ``noisy`` one is drawn thin as it is and thick as its running mean, one of ``dots`` with each of its points.
    """

    name: str
    steps: Floats
    values: Floats
    colour: str
    dashes: str = ""
    noisy: bool = False
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over the steps.

    Attributes:
        levels: Values always in sight, each with a line across.
        floor: More than 0 for a logarithmic axis, on which lower values are drawn at this one.
        note: What else the reader should know.
    """

    title: str
    unit: str
    series: list[Series]
    levels: tuple[float, ...] = ()
    floor: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Steps:
    """What all charts of a page share: the steps they run over, the stretches that are shaded, the mean's window."""

    first: int
    last: int
    shaded: Sequence[tuple[int, int]]
    window: int


def figure(chart: Chart, across: Steps, name: str) -> str:
    """A chart with its title, its legend and what its lines lack; its ids begin with ``name``."""
    drawn = [s for s in chart.series if not np.isnan(s.values).all()]
    notes = [chart.note] * bool(drawn) + [_lacks(s) for s in chart.series]
    below = "".join(f'<p class="gist-note">{escape(text)}</p>' for text in notes if text)
    head = f"<figcaption>{escape(chart.title)}</figcaption>"
    if not drawn:
        names = escape("; ".join(s.name for s in chart.series))
        return f'<figure>{head}<p class="gist-note">Nothing to draw, not in the log: {names}.</p></figure>'
    axes = _Axes(chart, across)
    inner = "".join([*_frame(chart, axes, across), *(part for s in drawn for part in _lines(s, axes, across.window))])
    told = ". ".join(f"{s.name}: {_told(s)}" for s in drawn)
    words = f'<title id="{name}-title">{escape(chart.title)}</title><desc id="{name}-desc">{escape(told)}</desc>'
    label = f'role="img" aria-labelledby="{name}-title {name}-desc"'
    keys = "".join(f"<li>{_key(s)}{escape(s.name)}</li>" for s in drawn)
    return (
        f'<figure>{head}<p class="gist-note">{escape(chart.unit)}</p>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" {label}>{words}{inner}</svg>'
        f'<ul class="gist-legend">{keys}</ul>{below}</figure>'
    )


def running_mean(series: Series, window: int) -> Floats:
    """Mean over the values within ``window`` steps centred on each; NaN where the step itself has none."""
    real = ~np.isnan(series.values)
    first = np.searchsorted(series.steps, series.steps - window / 2, side="left")
    last = np.searchsorted(series.steps, series.steps + window / 2, side="right")
    means = [np.nanmean(series.values[a:b]) if own else np.nan for a, b, own in zip(first, last, real, strict=True)]
    return np.array(means)


class _Axes:
    """Where values stand: ``x`` and ``y`` take data to the units of the drawing."""

    def __init__(self, chart: Chart, across: Steps) -> None:
        self.floor = chart.floor
        self.first, self.last = across.first - 0.5, across.last + 0.5
        values = np.concatenate([*(s.values for s in chart.series), np.array(chart.levels)])
        values = self._bounded(values[~np.isnan(values)])
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.1, 1.0)
        self.ticks = _log_ticks(low, high) if chart.floor else _ticks(low, high)
        self.low, self.high = min(low, self.ticks[0]), max(high, self.ticks[-1])

    def x(self, steps: Floats) -> Floats:
        return _LEFT + (steps - self.first) / (self.last - self.first) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, values: Floats) -> Floats:
        low, high = self._scaled(np.array([self.low, self.high]))
        places: Floats = _HEIGHT - _BOTTOM - (self._scaled(values) - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)
        return places

    def _bounded(self, values: Floats) -> Floats:
        return np.maximum(values, self.floor) if self.floor else values

    def _scaled(self, values: Floats) -> Floats:
        return np.log(self._bounded(values)) if self.floor else values


def _ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values around the range, first and last outside it or on its ends."""
    if high - low <= 1e-9 * max(1.0, abs(high)):
        high = low + max(1.0, abs(low))
    size = 10 ** math.floor(math.log10((high - low) / most))
    size *= next(m for m in (1, 2, 5, 10, 20) if math.ceil(high / (m * size)) - math.floor(low / (m * size)) <= most)
    return [n * size for n in range(math.floor(low / size), math.ceil(high / size) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2, 5, 10 and so on around the range."""
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1)
    every = [m * 10.0**p for p in powers for m in (1, 2, 5)]
    below = max(t for t in every if t <= low)
    above = min(t for t in every if t > below and t >= high)
    return [t for t in every if below <= t <= above]


def _frame(chart: Chart, axes: _Axes, across: Steps) -> Iterator[str]:
    """Shaded stretches, grid, numbers on the axes, levels."""
    floor, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    for first, last in across.shaded:
        start, end = axes.x(np.array([first - 0.5, last + 0.5]))
        yield f'<rect class="gist-shade" x="{start:.1f}" y="{_TOP}" width="{end - start:.1f}" height="{floor - _TOP}"/>'
    for tick, y in zip(axes.ticks, axes.y(np.array(axes.ticks)), strict=True):
        yield f'<path class="gist-grid" d="M{_LEFT} {y:.1f}H{right}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick + 0.0:.5g}</text>'
    steps = sorted({round(t) for t in _ticks(across.first, across.last, 5)} & set(range(across.first, across.last + 1)))
    for tick, x in zip(steps, axes.x(np.array(steps, dtype=np.float64)), strict=True):
        shown = f"{tick:,}"
        yield f'<path class="gist-grid" d="M{x:.1f} {floor}v4"/>'
        yield f'<text x="{min(x, right - 3.5 * len(shown)):.1f}" y="{floor + 17}" text-anchor="middle">{shown}</text>'
    yield f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">step</text>'
    for y in axes.y(np.array(chart.levels)):
        yield f'<path class="gist-level" d="M{_LEFT} {y:.1f}H{right}"/>'


def _lines(series: Series, axes: _Axes, window: int) -> Iterator[str]:
    name, x = escape(series.name), axes.x(series.steps)
    own = f'data-series="{name}" stroke="{series.colour}"'
    values = series.values
    if series.noisy:
        yield f'<path class="gist-raw" {own} d="{_path(x, axes.y(values))}"/>'
        values = running_mean(series, window)
    look = f' stroke-dasharray="{series.dashes}"' if series.dashes else ""
    yield f'<path class="gist-line" {own}{look} d="{_path(x, axes.y(values))}"><title>{name}</title></path>'
    if series.dots:
        for at, y in zip(x, axes.y(values), strict=True):
            if not math.isnan(y):
                yield f'<circle cx="{at:.1f}" cy="{y:.1f}" r="3" fill="{series.colour}"/>'


def _path(x: Floats, y: Floats) -> str:
    """A line that breaks where a value is missing; a point by itself is a dot."""
    parts, before = [], False
    for at, (a, b) in enumerate(zip(x, y, strict=True)):
        if math.isnan(b):
            before = False
            continue
        alone = not before and (at + 1 == len(y) or math.isnan(y[at + 1]))
        parts.append(f"{'L' if before else 'M'}{a:.1f} {b:.1f}{'h0' if alone else ''}")
        before = True
    return "".join(parts)


def _key(series: Series) -> str:
    look = f' stroke-dasharray="{series.dashes}"' if series.dashes else ""
    dot = f'<circle cx="15" cy="5" r="3" fill="{series.colour}"/>' if series.dots else ""
    line = f'<path d="M1 5H29" stroke="{series.colour}" stroke-width="2.5"{look}/>{dot}'
    return f'<svg viewBox="0 0 30 10" aria-hidden="true">{line}</svg>'


def _told(series: Series) -> str:
    """The ends of a line in words, for those who cannot see it."""
    (real,) = np.nonzero(~np.isnan(series.values))
    ends = dict.fromkeys((int(real[0]), int(real[-1])))
    return ", ".join(f"{series.values[at]:.3g} at step {series.steps[at]:,.0f}" for at in ends)


def _lacks(series: Series) -> str:
    """What a line lacks, if anything."""
    lost = int(np.isnan(series.values).sum())
    if lost == len(series.values):
        return f"{series.name}: not in the log."
    return f"{series.name}: no number in {lost:,} of {len(series.values):,} rows." if lost else ""
