"""What is measured on: sets of records in a folder, or one file of them, as cases.

A record is a line of JSON: ``documents [{text}]``, and as far as there are any ``id``, ``query``, ``answers [str]``,
``evidence [{doc, start, end}]`` (character offsets in the text of the document with that id) and ``title`` of a
document. Without evidence and answers what remains to be measured is values kept and invented, and time.
"""

from __future__ import annotations

import lzma
import random
from collections.abc import Iterator
from pathlib import Path

from gist_core.cases import WHOLE_SETS, Case, case_of
from gist_core.errors import InvalidInputError
from gist_core.evaluation.record_check import checked_record
from gist_core.records import Record, Split, file_and_part, split_of

SUFFIXES = (".jsonl.xz", ".jsonl")
ALL = "all"
_SEED = 13


def sets_of(data: Path) -> dict[str, Path]:
    """The sets of a folder by name, or the one set that a file is.

    Raises:
        InvalidInputError: There is no such folder or file, or the file's name ends otherwise.
    """
    if not data.exists():
        raise InvalidInputError(f"There is no {str(data)!r}.", hint="Name a folder or a file of records.")
    files = sorted(data.iterdir()) if data.is_dir() else [data]
    found = {path.name.removesuffix(end): path for end in SUFFIXES[::-1] for path in files if path.name.endswith(end)}
    if not found:
        raise InvalidInputError(f"{str(data)!r} holds no records.", hint=f"Records end in {' or '.join(SUFFIXES)}.")
    return found


def side_of(name: str, split: Split | None) -> str:
    """What is measured of a set: a side of the split, or ``ALL`` of a set that is not split."""
    return ALL if split is None or file_and_part(name)[0] in WHOLE_SETS else split


def load_task(path: Path, name: str, split: Split | None, limit: int | None = None) -> list[Case]:
    """Cases of a set, in an order that is random but fixed. Where some records have a question, only those.

    Args:
        path: The file.
        name: The set; ``"file/part"`` for the records whose id begins with ``file_part-``.
        split: The side of the split; None for the whole file.
        limit: So many at the most.

    Raises:
        InvalidInputError: The file is damaged, a record unusable, or there is nothing to measure.
    """
    _, beginning = file_and_part(name)
    side = side_of(name, split)
    found = [
        record for record in _records(path) if record["id"].startswith(beginning) and side in (ALL, split_of(record))
    ]
    asked = [record for record in found if record["query"]] or found
    if not asked:
        raise InvalidInputError(
            f"{name!r} has no records{f' on its {side} side' if side != ALL else ''}.",
            hint="Name the file itself as data to measure all of it." if side != ALL else "",
        )
    random.Random(f"{name}-{_SEED}").shuffle(asked)
    return [case_of(name, record) for record in asked[:limit]]


def _records(path: Path) -> Iterator[Record]:
    read = lzma.open if path.suffix == ".xz" else open
    known: set[str] = set()
    try:
        with read(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    record = checked_record(line, number, f"Line {number} of {path.name}")
                    if record["id"] in known:
                        raise InvalidInputError(
                            f"Line {number} of {path.name} has the id {record['id']!r} of an earlier one.",
                            hint="Give each record its own.",
                        )
                    known.add(record["id"])
                    yield record
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError) as error:
        raise InvalidInputError(f"{path.name} cannot be read: {error}.", hint="Is it whole, and UTF-8?") from error
