"""``gist break-even``: from what context length on compression pays, given prices and measured speed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gist_core.cli.console import clear_errors, write_out
from gist_core.errors import InvalidInputError


@clear_errors()
def break_even(
    *,
    price: Annotated[float, typer.Option(min=0, help="Price of a million input tokens of your model.")],
    reader_speed: Annotated[float, typer.Option(help="Prompt tokens your model reads per second (prefill).")],
    speed_file: Annotated[Path, typer.Option(help="speed.jsonl of `gist evaluate --speed`.")],
    system: Annotated[str, typer.Option(help="Which system of that file.")] = "gist",
    machine_price: Annotated[float, typer.Option(min=0, help="Price of an hour of the machine that compresses.")] = 0.0,
    rates: Annotated[list[float] | None, typer.Option("--rate", min=1, help="Rate; default: 2, 4, 10, 20.")] = None,
) -> None:
    """Tell from what context length on compression saves time and money, as a Markdown table."""
    from gist_core.evaluation.breakeven import RATES, Prices, costs, table
    from gist_core.evaluation.rows import read_rows

    known = costs(read_rows(speed_file))
    if system not in known:
        raise InvalidInputError(
            f"{str(speed_file)!r} has no speed of {system!r}.",
            hint=f"It holds: {', '.join(sorted(known)) or 'nothing'}. Measure with gist evaluate --speed.",
        )
    write_out(table(known[system], Prices(price, reader_speed, machine_price), rates or RATES))
