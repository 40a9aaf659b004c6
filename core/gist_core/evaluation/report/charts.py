"""Charts as SVG that reads on a light and a dark ground, at phone width too. matplotlib is loaded when one is drawn.

Each system has its own line: a colour of at least 3:1 against white and near black, told apart also by marker and
dashes. Text stays text; axes and text take the colour of the page's text; the ground is transparent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gist_core.errors import InvalidInputError
from gist_core.evaluation.report.grids import OVER
from gist_core.evaluation.report.groups import METRICS, Rows, groups_of, metrics_of
from gist_core.evaluation.report.latency import Lines
from gist_core.evaluation.report.svg import SETTINGS, inline, load_matplotlib, png, standalone
from gist_core.evaluation.report.tables import OURS, Table, table
from gist_core.files import write_whole

_OURS_COLOUR = "#d55e00"
_COLOURS = ("#0072b2", "#009e73", "#c06090", "#a07800", "#8565c4", "#777777", "#2a8fb8")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h", "*")
_DASHES = ((), (4, 1.5), (1.2, 1.2), (5, 1.5, 1.2, 1.5), (7, 2))
_WIDTH, _HEIGHT, _LEGEND_LINE = 4.2, 2.7, 0.165  # inches: shown at phone width the text is not shrunk
_TWO_COLUMNS = 27  # characters of a label beside another


def rate_distortion(found: Table, systems: Sequence[str]) -> str:
    """Quality against tokens kept as inline SVG, one line a system, a band for its interval.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    return inline(_curves(found, systems), _title(found), _told(found), f"curve-{found.name}")


def latency(lines: Lines, systems: Sequence[str]) -> str:
    """Milliseconds of a call against tokens in as inline SVG, both on a logarithmic scale.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """

    def draw(axes: Any) -> None:
        for place, system in enumerate(systems):
            if system in lines:
                points = lines[system]
                axes.plot([p.tokens for p in points], [p.milliseconds for p in points], **_line(system, place))
        axes.set(xscale="log", yscale="log", xlabel="tokens in", ylabel="milliseconds a call")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:,.10g}")

    told = ". ".join(
        f"{s}: " + ", ".join(f"{p.milliseconds:,.0f} ms at {p.tokens:,.0f} tokens" for p in lines[s])
        for s in systems
        if s in lines
    )
    figure = _figure(draw, [_label(s) for s in systems if s in lines])
    return inline(figure, "Time of a call against tokens in", told, "latency")


def write_picture(rows: Rows, path: Path, group: str = "multi-document") -> None:
    """Quality against tokens kept of a pooled group, as a file of its own (``.svg`` or ``.png``).

    Raises:
        InvalidInputError: The file is of another kind, or the rows have no set of the group.
        MissingExtraError: matplotlib is not installed.
    """
    metrics = metrics_of(rows)
    members = groups_of(metrics).get(group)
    if path.suffix not in {".svg", ".png"}:
        raise InvalidInputError(f"{str(path)!r} is no .svg or .png.", hint="Name the picture with one of these.")
    if not members:
        raise InvalidInputError(f"The rows have no set of {group!r}.", hint="Measure the group's sets first.")
    found = table(group, members, rows, metrics)
    systems = sorted(dict.fromkeys(row["system"] for row in rows), key=lambda s: s != OURS)
    figure = _curves(found, [s for s in systems if any(s == key[0] for key in found.quality)])
    drawn = png(figure) if path.suffix == ".png" else standalone(figure, _title(found), _told(found)).encode()
    write_whole(path, drawn)


def _curves(found: Table, systems: Sequence[str]) -> Any:
    shown = [s for s in systems if any(s == key[0] for key in found.share)]

    def draw(axes: Any) -> None:
        for place, system in enumerate(systems):
            if system in shown:
                _curve(axes, found, system, place)
        axes.set(xscale="log", xlabel="tokens kept, % (log scale)", ylabel=f"{METRICS[found.metric]}, %")
        rates = sorted({rate for _, rate in found.quality}, reverse=True)
        axes.set_xticks([100 / r for r in rates], [f"{100 / r:.3g}" for r in rates], minor=False)
        axes.set_xticks([], minor=True)

    return _figure(draw, [_legend(found, s) for s in shown])


def _legend(found: Table, system: str) -> str:
    """The name, and how many outputs were larger than their budget, where some were."""
    larger = sum(count for (name, _), count in found.over.items() if name == system)
    return f"{_label(system)} ({larger:,} {OVER})" if larger else _label(system)


def _curve(axes: Any, found: Table, system: str, place: int) -> None:
    keys = sorted((key for key in found.share if key[0] == system), key=lambda key: found.share[key])
    own = [found.quality[key] for key in keys]
    x = [found.share[key] for key in keys]
    style = _line(system, place) | {"label": _legend(found, system)}
    band = 0.22 if system == OURS else 0.05
    axes.fill_between(
        x, [e.low for e in own], [e.high for e in own], color=style["color"], alpha=band, linewidth=0, zorder=1
    )
    axes.plot(x, [e.mean for e in own], **style)


def _line(system: str, place: int) -> dict[str, Any]:
    """The look of a system: ours strong and whole, the others by their place."""
    if system == OURS:
        look = {"color": _OURS_COLOUR, "linewidth": 2.4, "marker": _MARKERS[0], "markersize": 5, "zorder": 4}
        return {"label": _label(system), **look}
    return {
        "label": _label(system),
        "color": _COLOURS[place % len(_COLOURS)],
        "linewidth": 1.3,
        "dashes": _DASHES[place % len(_DASHES)],
        "marker": _MARKERS[place % len(_MARKERS)],
        "markersize": 4,
        "zorder": 3,
    }


def _label(system: str) -> str:
    """The name in a legend: of ``package.module:factory`` the factory; signs that matplotlib would read are tamed."""
    return system.rpartition(":")[2].lstrip("_").replace("$", r"\$")


def _figure(draw: Callable[[Any], None], labels: Sequence[str]) -> Any:
    """A figure with axes drawn by ``draw`` above a legend of these labels that takes its own room."""
    matplotlib = load_matplotlib()
    columns = 2 if all(len(label) <= _TWO_COLUMNS for label in labels) else 1
    legend = _LEGEND_LINE * -(-len(labels) // columns)
    height = _HEIGHT + legend
    with matplotlib.rc_context(SETTINGS):
        figure = matplotlib.figure.Figure(figsize=(_WIDTH, height))
        axes = figure.add_axes((0.13, (legend + 0.5) / height, 0.84, (_HEIGHT - 0.57) / height))
        draw(axes)
        axes.grid(visible=True)
        handles = axes.get_legend_handles_labels()
        figure.legend(*handles, loc="lower left", bbox_to_anchor=(0.0, 0.0), ncols=columns, fontsize=8, **_TIGHT)
    return figure


_TIGHT: Mapping[str, float] = {
    "borderaxespad": 0.2,
    "borderpad": 0.1,
    "labelspacing": 0.35,
    "columnspacing": 1.2,
    "handlelength": 3,
}


def _title(found: Table) -> str:
    return f"{found.name}: {METRICS[found.metric]} against tokens kept"


def _told(found: Table) -> str:
    """The curve in words, for those who cannot see it."""
    systems = dict.fromkeys(system for system, _ in found.share)
    return ". ".join(
        f"{s}: "
        + ", ".join(
            f"{found.quality[k].mean:.1f} % at {found.share[k]:.1f} % of the tokens" for k in found.share if k[0] == s
        )
        for s in systems
    )
