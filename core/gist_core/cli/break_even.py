"""``gist break-even``: from what context length on compression pays, given prices and measured speed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from gist_core.cli.console import clear_errors, write_out
from gist_core.errors import InvalidInputError


@clear_errors()
def break_even(
    *,
    price: Annotated[float, typer.Option(help="Price of a million input tokens of your model.")],
    reader_speed: Annotated[float, typer.Option(help="Prompt tokens your model reads per second (prefill).")],
    speed_file: Annotated[Path, typer.Option(help="speed.jsonl of `gist evaluate --speed`.")],
    system: Annotated[str, typer.Option(help="Which system of that file.")] = "gist",
    machine_price: Annotated[float, typer.Option(help="Price of an hour of the machine that compresses.")] = 0.0,
    rates: Annotated[list[float] | None, typer.Option("--rate", help="Rate; default: 2, 4, 10, 20.")] = None,
) -> None:
    """Tell from what context length on compression saves time and money, as a Markdown table."""
    from gist_core.evaluation.breakeven import RATES, Prices, costs, table

    _check("--price", price, "0 or more", fits=price >= 0)
    _check("--reader-speed", reader_speed, "above 0", fits=reader_speed > 0)
    _check("--machine-price", machine_price, "0 or more", fits=machine_price >= 0)
    for rate in rates or ():
        _check("--rate", rate, "1 or more", fits=rate >= 1)
    known = costs(_speed_rows(speed_file))
    if system not in known:
        raise InvalidInputError(
            f"{str(speed_file)!r} has no speed of {system!r}.",
            hint=f"It holds: {', '.join(sorted(known)) or 'nothing'}. Measure with gist evaluate --speed.",
        )
    write_out(table(known[system], Prices(price, reader_speed, machine_price), rates or RATES))


def _check(option: str, value: float, wanted: str, *, fits: bool) -> None:
    if not (fits and math.isfinite(value)):
        raise InvalidInputError(f"{option} is {value:g}.", hint=f"Give a number, {wanted}.")


def _speed_rows(path: Path) -> list[dict[str, Any]]:
    from gist_core.evaluation.rows import read_rows

    measure = "Name the speed.jsonl of gist evaluate --speed."
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "is not there"
        raise InvalidInputError(f"--speed-file {str(path)!r} {problem}.", hint=measure)
    rows = read_rows(path)
    for number, row in enumerate(rows, 1):
        if missing := [name for name in ("system", "tokens_in", "p50_ms") if name not in row]:
            raise InvalidInputError(f"Row {number} of {str(path)!r} has no {missing[0]!r}.", hint=measure)
    return rows
