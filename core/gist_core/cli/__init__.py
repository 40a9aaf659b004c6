"""The command ``gist``: one file per sub-command, nothing heavy imported before it is needed.

A sub-command is a function registered below, a group of them a ``typer.Typer`` given to ``app.add_typer``.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from gist_core.cli import break_even, compact, compress, evaluate, evaluate_memory, train

app = typer.Typer(
    name="gist",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("compress")(compress.compress)
app.command("compact")(compact.compact)
app.command("evaluate")(evaluate.evaluate)
app.command("break-even")(break_even.break_even)
app.command("evaluate-memory")(evaluate_memory.evaluate_memory)
app.add_typer(train.app, name="train")


def _show_version(asked: bool) -> None:  # noqa: FBT001 - the shape Typer calls
    if asked:
        typer.echo(f"gist {version('gist-compressor')}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Compress text to a token budget, around a question, with a small local model."""


def main() -> None:
    """Entry point of the command ``gist``. Exit codes: 0 done, 1 failed while running, 2 wrong usage or bad input."""
    app()


__all__ = ["app", "main"]
