"""Values that an output keeps of its source, and values that it invents: numbers, dates, identifiers, long names.

What a value is, ``gist_core.facts`` says; names count from two words on, since a single capital may be owed to a
word's place. It is asked for its values out of context too, so an output that joins the ends of two sentences may
show a name or a date that neither held: to its reader that is an invented one.
"""

from __future__ import annotations

from functools import lru_cache

from gist_core.facts import FactKind, value_texts
from gist_core.matching import folded, stands

VALUE_KINDS = (FactKind.NUMBER, FactKind.DATE, FactKind.IDENTIFIER, FactKind.NAME)


def entities(source: str, output: str) -> tuple[float | None, int]:
    """(share of the source's distinct values that stand in the output, number invented); no share without values.

    Invented is a distinct value of the output that does not stand in the source, case and white space folded.
    """
    wanted, (kept, invented) = values(source), _compared(source, output)
    return len(kept) / len(wanted) if wanted else None, len(invented)


def entities_by_kind(source: str, output: str) -> dict[str, list[int]]:
    """By kind: distinct values of the source that stand in the output, how many it has, and how many are invented.

    Kinds that neither text has are left out. A value that is of two kinds counts as each.
    """
    wanted, found = _values(source), _values(output)
    kept, invented = _compared(source, output)
    counts = {}
    for kind in VALUE_KINDS:
        of, own = {v for k, v in wanted if k is kind}, {v for k, v in found if k is kind}
        if of or own:
            counts[kind.value] = [len(of & kept), len(of), len(own & invented)]
    return counts


def values(text: str) -> frozenset[str]:
    """The distinct values of a text, folded."""
    return frozenset(value for _, value in _values(text))


@lru_cache(maxsize=16)
def _values(text: str) -> frozenset[tuple[FactKind, str]]:
    return frozenset(
        (kind, folded(value)) for kind, value in value_texts(text) if kind is not FactKind.NAME or " " in value
    )


@lru_cache(maxsize=2)
def _compared(source: str, output: str) -> tuple[frozenset[str], frozenset[str]]:
    """The values of the source that stand in the output, and those of the output that do not stand in the source."""
    wanted, found = values(source), values(output)
    body, whole = _body(output), _body(source)
    kept = frozenset(value for value in wanted if value in found or stands(value, body))
    return kept, frozenset(value for value in found - wanted if not stands(value, whole))


@lru_cache(maxsize=16)
def _body(text: str) -> str:
    """The text folded; a source is asked for once a system and rate."""
    return folded(text)
