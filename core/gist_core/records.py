"""Question-answering records as JSON lines (``.jsonl`` or ``.jsonl.xz``) and their fixed splits.

A record: ``id, query, documents [{id, title, text, session?}], answers, evidence [{doc, start, end, kind}]``.
Records are split 80/10/10 by a hash of what they are about, so no passage stands on both sides: the page
title where there is one (of a translation, the title in English), the session of a conversation, else the text of
the gold document.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from gist_core.errors import InvalidInputError
from gist_core.translated import ENGLISH_TITLES

Record = dict[str, Any]
Split = Literal["train", "validation", "test"]
_GENERIC_TITLES = {"", "filtered reddit comments"}


def read_records(folder: Path, name: str) -> Iterator[Record]:
    """Records of the set ``name`` in file order.

    Raises:
        InvalidInputError: The set is not in the folder.
    """
    for path in (folder / f"{name}.jsonl.xz", folder / f"{name}.jsonl"):
        if path.exists():
            read = lzma.open if path.suffix == ".xz" else open
            with read(path, "rt", encoding="utf-8") as lines:
                yield from map(json.loads, lines)
            return
    raise InvalidInputError(f"No set {name!r} in {folder}.", hint=f"Expected {name}.jsonl.xz or {name}.jsonl.")


def file_and_part(name: str) -> tuple[str, str]:
    """The file of a set, and how the ids of its records begin: ``"xquad/th"`` -> ``("xquad", "xquad_th-")``."""
    file, _, part = name.partition("/")
    return file, f"{file}_{part}-" if part else ""


def split_of(record: Record) -> Split:
    """The side a record stands on; stable across machines and versions."""
    bucket = int(hashlib.sha256(_subject(record).encode("utf-8", "surrogatepass")).hexdigest()[:8], 16) % 10
    return "validation" if bucket == 8 else "test" if bucket == 9 else "train"


def document_split(document: Record) -> Split:
    """The side on which a record with this one document would stand."""
    return split_of({"documents": [document], "evidence": []})


def _subject(record: Record) -> str:
    documents = record["documents"]
    gold = {e["doc"] for e in record["evidence"]}
    first = next((d for d in documents if d["id"] in gold), documents[0])
    if first.get("session"):
        return str(first["session"])
    title = first.get("title", "").replace("_", " ").strip().lower()
    return str(first["text"]) if title in _GENERIC_TITLES else ENGLISH_TITLES.get(title, title)
