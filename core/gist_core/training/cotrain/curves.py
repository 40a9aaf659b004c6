"""The log of a co-training run as one self-contained page: curves over the steps, and held-out gists as they change.

Read again and again while a run goes on, so a log that is short, damaged or without validations is drawn as far as it
goes, and the page says what is missing. Charts need no matplotlib, which belongs to another extra.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gist_core.errors import InvalidInputError
from gist_core.files import write_whole
from gist_core.highlight import escape, page
from gist_core.svg import COLOURS, DASHES, DOTTED, Chart, Series, Steps, figure
from gist_core.svg import STYLE as CHART_STYLE

Row = dict[str, Any]
_LOWEST = 0.01  # % of the context's tokens, on a logarithmic axis: the loop's prices know no lower rate either
_MOST = 1e100  # what is beyond is no measurement

_STYLE = """
main { max-width: 66rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
table { width: 100%; border-collapse: collapse; font-size: .92rem; line-height: 1.45; }
th, td { padding: .45rem .8rem .45rem 0; text-align: left; vertical-align: top; overflow-wrap: anywhere;
  border-bottom: 1px solid rgba(128,128,128,.3); }
tbody th { width: 9rem; font-variant-numeric: tabular-nums; }
th small { display: block; font-weight: 400; opacity: .8; }
@media (max-width: 40rem) { thead { display: none; } table, tbody, tr, th, td { display: block; }
  tbody th { width: auto; border: 0; padding-bottom: 0; } tbody th small { display: inline; margin-left: .6rem; }
  td { padding: .15rem 0 .45rem; } td:not(:last-child) { border: 0; } }
"""


@dataclass(frozen=True, slots=True)
class Log:
    """What could be read: one row a step in the order of the steps, and the numbers of the lines that are no rows."""

    rows: list[Row]
    damaged: list[int]
    lines: int

    @property
    def validations(self) -> list[Row]:
        """Rows that hold one."""
        return [row for row in self.rows if "held_kl" in row]

    @property
    def learning(self) -> list[Row]:
        """Rows in which the policy learns: after the warm-up."""
        return [row for row in self.rows if not row.get("warm")]


def write_curves(log: Path, page: Path) -> None:
    """Write the page of a run.

    Args:
        log: ``log.jsonl`` as ``cotrain`` writes it; it may still grow.
        page: The HTML file; written whole or not at all.

    Raises:
        InvalidInputError: There is no such log.
    """
    if not log.is_file():
        raise InvalidInputError(f"There is no log {str(log)!r}.", hint="Give the log.jsonl of a co-training run.")
    write_whole(page, to_page(read_log(log.read_bytes())).encode())


def read_log(data: bytes) -> Log:
    """Rows of a log: a run that went on from an earlier step takes back what was logged after it."""
    rows: list[Row] = []
    damaged: list[int] = []
    lines = data.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict) or type(row.get("step")) is not int:
            damaged.append(number)
            continue
        while rows and rows[-1]["step"] >= row["step"]:
            rows.pop()
        rows.append(row)
    return Log(rows, damaged, len(lines) - (not lines[-1]))


def to_page(log: Log) -> str:
    """The whole page as HTML."""
    body = [f'<p class="gist-account">{escape(_account(log))}</p>']
    body += [f'<p class="gist-note">{escape(text)}</p>' for text in _missing(log)]
    if log.rows:
        across = Steps(log.rows[0]["step"], log.rows[-1]["step"], list(_warm(log)), max(15, len(log.rows) // 20))
        body.append(f'<p class="gist-note">{_legend(log, across)}</p>')
        figures = "\n".join(figure(chart, across, f"chart-{place}") for place, chart in enumerate(_charts(log)))
        body += [f'<div class="gist-charts">\n{figures}\n</div>', "<h2>Held-out gists over time</h2>", _gists(log)]
    return page("Co-training", "\n".join(body), CHART_STYLE + _STYLE)


# words


def _account(log: Log) -> str:
    """The figures of the last validation, and which one was best."""
    found = log.validations
    if not found:
        return f"After step {log.rows[-1]['step']:,}: no validation yet." if log.rows else "No step yet."
    last = found[-1]
    words = (
        f"Last validation, after step {last['step']:,} of {log.rows[-1]['step']:,}: gists of "
        f"{_said(last, 'held_rate', '.1%')} of their contexts' tokens leave a KL of {_said(last, 'held_kl')} nats per "
        f"token to the teacher that reads the context, {_said(last, 'held_kl_local')} without a gist. KL ratio "
        f"{_said(last, 'held_kl_ratio')}; normalised gain {_said(last, 'held_normalised_gain')} (0: as good as no "
        "gist, 1: as the whole context)."
    )
    best = _best(log)
    return words + (f" Best so far: KL {_said(best, 'held_kl')} after step {best['step']:,}." if best else "")


def _legend(log: Log, across: Steps) -> str:
    """How the charts are to be read."""
    words = f"Thin: each step; thick: mean of the {across.window} steps around it; dots: held-out episodes."
    if across.shaded:
        words += " Shaded: warm-up, in which the generator alone learns, on random gists."
    if len(_asked(log)) > 1:
        words += " The asked rates take turns from step to step, so KL and entropy jump with them."
    return words


def _best(log: Log) -> Row | None:
    """The validation after the warm-up that the run would go back to."""
    real = [row for row in log.validations if not row.get("warm") and not math.isnan(_number(row, "held_kl"))]
    return min(real, key=lambda row: _number(row, "held_kl"), default=None)


def _missing(log: Log) -> Iterator[str]:
    if not log.rows:
        yield "The log has no row that can be read."
    elif not log.learning:
        yield "Only warm-up steps so far: nothing of the policy yet (sampled gists, rates, prices, entropy)."
    elif None in _asked(log):
        unknown = sum(rate is None for rate in map(_rate, log.learning))
        yield f"{unknown:,} of {len(log.learning):,} steps do not say which rate was asked: drawn as their own line."
    if log.damaged:
        shown = ", ".join(map(str, log.damaged[:10])) + (", …" if len(log.damaged) > 10 else "")
        end = " The last one is cut off: the run was stopped, or is writing it." if log.damaged[-1] == log.lines else ""
        yield f"Lines left out because they are no whole row: {shown} of {log.lines:,}.{end}"


def _said(row: Row, key: str, form: str = ".3g") -> str:
    value = _number(row, key)
    return "(not logged)" if math.isnan(value) else f"{value:{form}}".replace("%", " %")


def _number(row: Row, key: str) -> float:
    """The value if it is a number that can be drawn, else NaN."""
    value: Any = row.get(key)
    return float(value) if type(value) in {int, float} and abs(value) < _MOST else math.nan


# charts


def _charts(log: Log) -> list[Chart]:
    learning, held = log.learning, log.validations
    first, second, third, fourth, *_, last = COLOURS
    kls = [
        _series(log.rows, "kl_local", "kl_local, no gist", second, DASHES[1], noisy=True),
        _series(learning, "kl", "kl, sampled gists", first, noisy=True),
        _series(log.rows, "generator_kl", "generator_kl, sampled and random gists", third, DASHES[2], noisy=True),
        _series(held, "held_kl", "held_kl, best gists", fourth, dots=True),
    ]
    ratio = [_series(held, "held_kl_ratio", "held_kl_ratio", first, dots=True)]
    gain = [_series(held, "held_normalised_gain", "held_normalised_gain", second, dots=True)]
    entropy = [_series(learning, "entropy", "entropy", last, noisy=True)]
    return [
        Chart("KL to the teacher that reads the context", "nats per token", kls, (0.0,)),
        Chart("Held-out KL ratio", "KL without a gist / with it", ratio, (1.0,), note="1: the gist tells nothing."),
        Chart("Held-out normalised gain", "share", gain, (0.0, 1.0), note="0: as good as no gist, 1: as all of it."),
        *_by_rate(log),
        Chart("Entropy of the policy", "nats per choice", entropy, (0.0,)),
    ]


def _by_rate(log: Log) -> tuple[Chart, Chart]:
    """Rates beside their targets, and prices, each with a line for every asked rate."""
    rates, prices = [], []
    for place, asked in enumerate(_asked(log) or [None]):
        rows = [row for row in log.learning if _rate(row) == asked]
        name = "unknown rate" if asked is None else f"asked {100 * asked:.3g} %"
        colour, dashes = COLOURS[place % len(COLOURS)], DASHES[place % len(DASHES)]
        sampled = _series(rows, "rate", f"{name}, sampled", colour, dashes, noisy=True)
        target = _series(rows, "target", f"{name}, target", colour, DOTTED)
        rates += [replace(s, values=100 * s.values) for s in (sampled, target)]
        prices.append(_series(rows, "price", name, colour, dashes))
    low = any((s.values < _LOWEST).any() for s in rates)
    note = f"Rates below {_LOWEST} % are drawn there." if low else ""
    unit = "% of the context's tokens, log scale"
    return (
        Chart("Rate of the sampled gists", unit, rates, floor=_LOWEST, note=note),
        Chart("Price of each asked rate", "price of length", prices, (0.0,)),
    )


def _asked(log: Log) -> list[float | None]:
    """The rates that were asked, from low to high; None at the end where some step does not say."""
    return sorted({_rate(row) for row in log.learning}, key=lambda rate: math.inf if rate is None else rate)


def _rate(row: Row) -> float | None:
    asked = _number(row, "asked")
    return None if math.isnan(asked) else asked


def _series(rows: Sequence[Row], key: str, name: str, colour: str, dashes: str = "", **look: bool) -> Series:
    steps, values = [float(row["step"]) for row in rows], [_number(row, key) for row in rows]
    return Series(name, np.array(steps), np.array(values), colour, dashes, **look)


def _warm(log: Log) -> Iterator[tuple[int, int]]:
    """First and last step of each stretch of warm-up."""
    first: int | None = None
    for row, after in zip(log.rows, [*log.rows[1:], {}], strict=True):
        if row.get("warm"):
            first = row["step"] if first is None else first
            if not after.get("warm"):
                yield first, row["step"]
                first = None


# gists


def _gists(log: Log) -> str:
    """The same held-out episodes at each validation."""
    found, best = log.validations, _best(log)
    if not found:
        return '<p class="gist-note">No validation yet, so no gists.</p>'
    texts = [row["gists"] if isinstance(row.get("gists"), list) else [] for row in found]
    columns = max(map(len, texts))
    if not columns:
        return '<p class="gist-note">The validations hold no gists.</p>'
    head = "".join(f'<th scope="col">Episode {n + 1}</th>' for n in range(columns))
    lines = []
    for row, own in zip(found, texts, strict=True):
        state = ", warm-up" * bool(row.get("warm")) + ", best" * (row is best)
        figures = f"<small>KL {_said(row, 'held_kl')}, {_said(row, 'held_rate', '.1%')} of tokens{state}</small>"
        cells = "".join(f'<td dir="auto">{_gist(own[n] if n < len(own) else None)}</td>' for n in range(columns))
        lines.append(f'<tr><th scope="row">{row["step"]:,}{figures}</th>{cells}</tr>')
    return f'<table><thead><tr><th scope="col">Step</th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'


def _gist(text: object) -> str:
    if not isinstance(text, str):
        return "<em>not in the log</em>"
    return escape(re.sub(r"\s+", " ", text)).strip() or "<em>empty</em>"
