"""Any text as a corpus: record files, JSON lines, plain text; split by document, never by chunk."""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gist_core.errors import InvalidInputError
from gist_core.records import Split, document_split

TEXTS, LINES = (".txt", ".md", ".rst"), (".jsonl", ".jsonl.xz")
LM_PREFIX = "lm_"  # in a folder that also holds question sets, only these are prose to learn from


@dataclass(frozen=True, slots=True)
class Document:
    """A text. ``title`` names what it is a part of: all parts of one title stand on one side of the split."""

    set: str
    title: str
    text: str

    @property
    def split(self) -> Split:
        """The side of an 80 / 10 / 10 split by hash of the title (``records.document_split``)."""
        return document_split({"id": "", "title": self.title, "text": self.text})


def read_corpus(source: Path, split: Split | None = None) -> list[Document]:
    """The documents of a file or a folder, of one side of the split or of all.

    A folder's ``.txt``, ``.md`` and ``.rst`` files are a document each; a line of a ``.jsonl`` or ``.jsonl.xz`` file is
    a record (``records.py``) or an object with ``text`` and, if it is a part of something, ``title``. Where some of a
    folder's files are named ``lm_*``, only these are read. Blank texts are left out.

    Raises:
        InvalidInputError: Nothing is there to read.
    """
    found = [d for path in _files(source) for d in _documents(path) if d.text.strip()]
    kept = [d for d in found if split is None or d.split == split]
    if not kept:
        what = f"the {split} side of {str(source)!r}" if found else repr(str(source))
        raise InvalidInputError(
            f"There is no text in {what}.", hint=f"Name a file or folder of {', '.join((*TEXTS, *LINES))}."
        )
    return kept


def _files(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    every = sorted(p for p in source.rglob("*") if p.is_file() and p.name.endswith((*TEXTS, *LINES)))
    return [p for p in every if p.name.startswith(LM_PREFIX)] or every


def _documents(path: Path) -> Iterator[Document]:
    if not path.name.endswith(LINES):
        yield Document(path.parent.name, path.name, path.read_text(encoding="utf-8", errors="replace"))
        return
    name = path.name.split(".")[0]
    read = lzma.open if path.suffix == ".xz" else open
    with read(path, "rt", encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield from _of_record(_parsed(line, path, number), name)


def _parsed(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise InvalidInputError(f"{path}:{number} is not JSON: {error}", hint="Write one object a line.") from error
    record: dict[str, Any] = found if isinstance(found, dict) else {}
    parts = record.get("documents", [record])
    if not isinstance(parts, list) or not all(isinstance(p, dict) and isinstance(p.get("text"), str) for p in parts):
        raise InvalidInputError(f"{path}:{number} has neither 'text' nor 'documents'.", hint="Give each line a text.")
    return record


def _of_record(record: dict[str, Any], name: str) -> Iterator[Document]:
    for part in record.get("documents", [record]):
        yield Document(name, str(part.get("title") or ""), part["text"])
