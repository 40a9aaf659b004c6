"""Files and standard input as passages; and that no output overwrites them."""

from __future__ import annotations

import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Sequence
from pathlib import Path

from gist_core.errors import InvalidInputError
from gist_core.passage import Passage

STDIN = "-"


def read_passages(names: Sequence[str]) -> list[Passage]:
    """One passage per file, in the order given; ``-``, or no name at all, is standard input.

    The id of a passage is the name as it was given. A byte order mark is not part of the text.

    Raises:
        InvalidInputError: a file that cannot be read or is no text in UTF-8, standard input named twice or not given.
    """
    chosen = list(names) or [STDIN]
    if chosen.count(STDIN) > 1:
        raise InvalidInputError("Standard input (-) is named twice.", hint="Name it once.")
    if not names and sys.stdin.isatty():
        raise InvalidInputError("No input.", hint="Name files, or pipe a text in.")
    return [Passage(id=name, text=_read(name)) for name in chosen]


def import_from_here() -> None:
    """Lets ``package.module:function`` name what lies in the current folder; what is installed goes first."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)


def check_page(page: Path | None, files: Sequence[str]) -> None:
    """Before any work: that a page can be written where it shall be.

    Args:
        page: The file to write; None is no page.
        files: The inputs, as ``read_passages`` takes them.

    Raises:
        InvalidInputError: It is a folder or lies in none, or it is an input.
    """
    if page is None:
        return
    if page.is_dir() or not page.parent.is_dir():
        raise InvalidInputError(f"Cannot write {str(page)!r}.", hint="Name a file in a folder that exists.")
    if page.resolve() in {Path(name).resolve() for name in files if name != STDIN}:
        raise InvalidInputError(f"--html {str(page)!r} would overwrite an input.", hint="Name another file.")


def _read(name: str) -> str:
    data = _bytes_of(name)
    where = "standard input" if name == STDIN else repr(name)
    if data.startswith(b"%PDF"):
        raise InvalidInputError(f"{where} is a PDF.", hint="Extract its text first, e.g. with pdftotext.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what, hint = _not_utf8(data, error.start)
        raise InvalidInputError(f"{where} {what}.", hint=hint) from None


def _not_utf8(data: bytes, at: int) -> tuple[str, str]:
    """What bytes that are not UTF-8 from ``at`` on are, and how to mend it."""
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return "is UTF-16", "Convert it first, e.g. with iconv -f UTF-16 -t UTF-8."
    if b"\0" in data:
        return f"is no text: it holds a NUL byte at offset {data.index(0)}", "Extract its text first."
    return (
        f"is not UTF-8: byte 0x{data[at]:02x} at offset {at}",
        "Convert it first, e.g. with iconv -f LATIN1 -t UTF-8.",
    )


def _bytes_of(name: str) -> bytes:
    if name == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise InvalidInputError(f"Cannot read {name!r}: {reason}.", hint="Check the path.") from None
