"""Values that an output keeps of its source, and values that it invents: numbers, dates, identifiers, long names.

What a value is, ``gist_core.facts`` says; names count from two words on, since a single capital may be owed to a
word's place. It is asked for its values out of context too, so an output that joins the ends of two sentences may
show a name or a date that neither held: to its reader that is an invented one.
"""

from __future__ import annotations

from functools import lru_cache

from gist_core.facts import FactKind, value_texts
from gist_core.matching import folded, stands


def entities(source: str, output: str) -> tuple[float | None, int]:
    """(share of the source's distinct values that stand in the output, number invented); no share without values.

    Invented is a distinct value of the output that does not stand in the source, case and white space folded.
    """
    wanted, found = values(source), values(output)
    body, whole = _body(output), _body(source)
    kept = sum(value in found or stands(value, body) for value in wanted)
    invented = sum(not stands(value, whole) for value in found - wanted)
    return kept / len(wanted) if wanted else None, invented


@lru_cache(maxsize=16)
def values(text: str) -> frozenset[str]:
    """The distinct values of a text, folded."""
    return frozenset(folded(value) for kind, value in value_texts(text) if kind is not FactKind.NAME or " " in value)


@lru_cache(maxsize=16)
def _body(text: str) -> str:
    """The text folded; a source is asked for once a system and rate."""
    return folded(text)
