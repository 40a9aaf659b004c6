"""What the sub-commands share: errors as one line, progress on a terminal, output that survives a closed pipe."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from gist_core.errors import BudgetTooSmallError, CheckpointError, GistError, InvalidInputError
from gist_core.files import write_whole

FAILED = 1
BAD_INPUT = 2
_QUIET = 30.0  # seconds that a log goes without a word on progress
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
BROKEN_PIPE = 141  # 128 + SIGPIPE, what a shell reports for a program whose reader went away


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn every error into one line and an exit code; ``GIST_DEBUG=1`` shows the traceback instead."""
    try:
        yield
    except typer.Exit:
        raise
    except BrokenPipeError:
        _drop_stdout()
        raise typer.Exit(BROKEN_PIPE) from None
    except Exception as error:
        if os.environ.get("GIST_DEBUG"):
            raise
        say(_line(error))
        raise typer.Exit(_exit_code(error)) from None


def _exit_code(error: Exception) -> int:
    return BAD_INPUT if isinstance(error, InvalidInputError | BudgetTooSmallError | CheckpointError) else FAILED


def _line(error: Exception) -> str:
    if isinstance(error, GistError):
        return f"gist: error: {error.message} {error.hint}".rstrip()
    return f"gist: error: {type(error).__name__}: {error} Set GIST_DEBUG=1 to see where."


def say(line: str) -> None:
    """One line on standard error, as it is: no colour, no wrapping, no markup."""
    Console(stderr=True, soft_wrap=True).print(line, markup=False, highlight=False, emoji=False)


def write_out(text: str) -> None:
    """Text to standard output in UTF-8, newlines untouched, with one at its end.

    Raises:
        BrokenPipeError: the reader went away.
    """
    if not text:
        return
    out = sys.stdout.buffer
    out.write(text.encode("utf-8", "replace"))
    if not text.endswith("\n"):
        out.write(b"\n")
    out.flush()


def _drop_stdout() -> None:
    """Let the interpreter's last flush go nowhere instead of complaining."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


class Countable(Protocol[T_co]):
    """What can be gone through and says how much it is."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[T_co]: ...


def counted(items: Countable[T], what: str) -> Iterator[T]:
    """The items, with progress on standard error: a bar on a terminal, else a plain line every half minute.

    Args:
        items: What is gone through; each is done when the next is asked for.
        what: What is done to them: ``measured``.
    """
    console, total, said = Console(stderr=True), len(items), time.monotonic()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        for done, item in enumerate(items, 1):
            yield item
            progress.advance(task)
            if not console.is_terminal and time.monotonic() - said >= _QUIET:
                said = time.monotonic()
                say(f"gist: {what}: {done:,} of {total:,} records.")


@contextmanager
def working(what: str) -> Iterator[None]:
    """A moving bar with the time spent, on standard error, only when that is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=24), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(what, total=None)
        yield


def write_file(path: Path, text: str) -> None:
    """Write a whole file or nothing: to a temporary neighbour first, renamed when complete.

    Raises:
        InvalidInputError: the place cannot be written.
    """
    try:
        write_whole(path, text.encode())
    except OSError as error:
        raise InvalidInputError(
            f"Cannot write {str(path)!r}: {error.strerror or error}.", hint="Name a file in a folder you can write to."
        ) from error
