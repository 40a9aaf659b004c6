"""One record of a file: that it holds what ``tasks`` says, told by line and field where it does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from gist_core.errors import InvalidInputError
from gist_core.records import Record


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


_LEAST = 'At the least: {"documents": [{"text": "..."}]}, one record a line.'
_KINDS: Mapping[str, Callable[[Any], bool]] = {
    "a text": lambda value: isinstance(value, str),
    "a text or null": lambda value: value is None or isinstance(value, str),
    "a list": lambda value: isinstance(value, list),
    "a list of texts or null": lambda value: value is None or _are_texts(value),
    "an object": lambda value: isinstance(value, dict),
    "a whole number": _is_whole,
    "a text or a whole number": lambda value: isinstance(value, str) or _is_whole(value),
}
_DOCUMENT = {"text": "a text", "id": "a text or a whole number", "title": "a text or null"}
_EVIDENCE = {"doc": "a text or a whole number", "start": "a whole number", "end": "a whole number", "kind": "a text"}
_NEEDED = {"text", "doc", "start", "end"}  # the others may be left out


def checked_record(line: str, number: int, where: str) -> Record:
    """A record with what may be left out filled in.

    Args:
        line: Its JSON.
        number: Its id where it has none.
        where: How an error names the line.

    Raises:
        InvalidInputError: It is no JSON, no record, or a field is of a wrong type or points outside of a text.
    """
    try:
        given = json.loads(line)
    except ValueError as error:
        raise InvalidInputError(f"{where} is no JSON: {error}.", hint="Write one record a line.") from error
    _check_types(given, where)
    documents = [
        {**d, "title": d.get("title") or "", "id": str(d.get("id", f"d{n}"))} for n, d in enumerate(given["documents"])
    ]
    evidence = [{"kind": "span", **e, "doc": str(e["doc"])} for e in given.get("evidence") or ()]
    _check_evidence(evidence, {d["id"]: d["text"] for d in documents}, where)
    filled: dict[str, Any] = {"query": None, "answers": [], **given, "documents": documents, "evidence": evidence}
    return {**filled, "id": str(filled.get("id", number))}


def _check_types(given: Any, where: str) -> None:
    if not isinstance(given, dict):
        raise InvalidInputError(f"{where} is no record but {given!r:.80}.", hint=_LEAST)
    if not given.get("documents"):
        raise InvalidInputError(f"{where} has no documents.", hint=_LEAST)
    for place, value, kind in _fields(given):
        if not _KINDS[kind](value):
            raise InvalidInputError(f"{where}: {place} is {value!r:.80}.", hint=f"It must be {kind}.")


def _fields(given: Record) -> Iterator[tuple[str, Any, str]]:
    """Place, value and the kind it must be of, an outer one before those within."""
    yield "query", given.get("query"), "a text or null"
    yield "answers", given.get("answers"), "a list of texts or null"
    for name, parts in (("documents", _DOCUMENT), ("evidence", _EVIDENCE)):
        many = given.get(name) or []
        yield name, many, "a list"
        for n, one in enumerate(many):
            yield f"{name}[{n}]", one, "an object"
            yield from (
                (f"{name}[{n}].{part}", one.get(part), kind)
                for part, kind in parts.items()
                if part in one or part in _NEEDED
            )


def _check_evidence(evidence: Iterable[Record], texts: Mapping[str, str], where: str) -> None:
    for n, e in enumerate(evidence):
        if e["doc"] not in texts:
            raise InvalidInputError(
                f"{where}: evidence[{n}].doc is {e['doc']!r}, which is no document.",
                hint=f"The documents are: {', '.join(texts)}.",
            )
        if not 0 <= e["start"] <= e["end"] <= len(texts[e["doc"]]):
            raise InvalidInputError(
                f"{where}: evidence[{n}] from {e['start']} to {e['end']} is outside of its document's text.",
                hint="Offsets are characters, the end not included.",
            )
