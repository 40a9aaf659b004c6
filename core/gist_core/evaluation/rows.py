"""The rows of a measurement: what one holds, and their files, which a run stopped at any moment can go on with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from gist_core.errors import InvalidInputError


class Measurements(TypedDict, total=False):
    """What is measured of an output. Tokens are cl100k_base, over the non-empty texts joined by a blank line."""

    tokens: int
    over: bool
    """The output is larger than its budget."""
    answer: bool | None
    """The output holds an answer; None where the source holds none that can be looked for."""
    evidence: float | None
    """Share of the characters of gold evidence that was kept; None without any, or where the output was rewritten."""
    all_evidence: bool | None
    """Every gold span was kept to at least 90 %."""
    entities: float | None
    """Share of the source's distinct values that stand in the output; None where it has none."""
    invented: int
    """Distinct values of the output that do not stand in the source."""
    kinds: dict[str, list[int]]
    """By kind of value: those of the source that stand in the output, those it has, those invented."""
    altered: bool
    """The output has a word that the source has not."""
    seconds: float
    """Wall time of the call."""
    kept: list[list[int]] | None
    """``[passage, start, end]`` of each kept span; None where the system gives text alone."""


class Row(Measurements):
    """One output of one system for one case at one rate; without measurements where there is an ``error``."""

    set: str
    id: str
    system: str
    rate: int
    budget: int
    tokens_in: int
    error: NotRequired[str]
    """Why the system gave nothing."""


Key = tuple[str, str, str, int]


def key(row: Mapping[str, Any]) -> Key:
    """What a row is a measurement of: set, id, system and rate."""
    return row["set"], row["id"], row["system"], row["rate"]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of an earlier run, of whatever kind, in their order; a half-written last line is left out.

    Raises:
        InvalidInputError: A line is no JSON object.
    """
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [_row(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _row(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise InvalidInputError(
            f"Line {number} of {str(path)!r} is no JSON: {error}.", hint="Delete that line, or the file."
        ) from error
    if not isinstance(found, dict):
        raise InvalidInputError(f"Line {number} of {str(path)!r} is no row.", hint="Delete that line, or the file.")
    return found


@contextmanager
def appending(path: Path) -> Iterator[Callable[[Mapping[str, object]], None]]:
    """Gives a function that appends an object as a line and flushes it; folders are made as needed.

    What was half-written when an earlier run was stopped is cut off first: a new line would be lost behind it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)

        def append(row: Mapping[str, object]) -> None:
            file.write(json.dumps(row).encode() + b"\n")
            file.flush()

        yield append
