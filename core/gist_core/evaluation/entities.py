"""Values that an output keeps of its source, and values that it invents: numbers, dates, identifiers, long names.

What a value is, ``gist_core.facts`` says; names count from two words on, since a single capital may be owed to a
word's place. It is asked for its values out of context too, so an output that joins the ends of two sentences may
show a name or a date that neither held: to its reader that is an invented one.
"""

from __future__ import annotations

from functools import lru_cache

from gist_core.evaluation.words import is_unspaced
from gist_core.facts import FactKind, value_texts


def entities(source: str, output: str) -> tuple[float | None, int]:
    """(share of the source's distinct values that stand in the output, number invented); no share without values.

    Invented is a distinct value of the output that does not stand in the source, case and white space folded.
    """
    wanted, found = values(source), values(output)
    body, whole = folded(output), folded(source)
    kept = sum(value in found or stands(value, body) for value in wanted)
    invented = sum(not stands(value, whole) for value in found - wanted)
    return kept / len(wanted) if wanted else None, invented


@lru_cache(maxsize=16)
def values(text: str) -> frozenset[str]:
    """The distinct values of a text, folded. A source is asked for once a system and rate."""
    return frozenset(folded(value) for kind, value in value_texts(text) if kind is not FactKind.NAME or " " in value)


@lru_cache(maxsize=16)
def folded(text: str) -> str:
    """Case folded, each run of white space as one space."""
    return " ".join(text.casefold().split())


def stands(value: str, body: str) -> bool:
    """Whether a value stands in a text by itself: not inside a longer word or number, as 5 in 15, 5.2 or 5th.

    Example:
        >>> stands("5", "from 5, at 15"), stands("5", "5.2 or 15")
        (True, False)
    """
    at = body.find(value)
    while at >= 0:
        end = at + len(value)
        if not _goes_on(value[0], body[max(0, at - 2) : at][::-1]) and not _goes_on(value[-1], body[end : end + 2]):
            return True
        at = body.find(value, at + 1)
    return False


def _goes_on(edge: str, beyond: str) -> bool:
    """Whether what stands beyond the edge of a value, nearest first, belongs to the same word or number."""
    if edge.isalnum() and beyond[:1].isalnum():
        return not is_unspaced(beyond[0])
    return edge.isdigit() and len(beyond) == 2 and beyond[0] in ".,:" and beyond[1].isdigit()
