"""A sentence that stands in several passages is paid for once: chunks that overlap, copies of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gist_core.allocation import Unit

SHORTEST = 24  # characters; "Thank you very much." may be said by two people
_LOWERED = 100.0  # logits: behind all that is said once, and below any threshold


def once(texts: Sequence[str], units: list[list[Unit]]) -> list[list[Unit]]:
    """The units of each text; of those that another text has word for word all but the best rank behind everything.

    White space does not count. What repeats within one text stays as it is.
    """
    if len(texts) < 2:
        return units
    best: dict[str, tuple[float, int]] = {}
    said = [[_said(text, unit) for unit in some] for text, some in zip(texts, units, strict=True)]
    for at, (words, some) in enumerate(zip(said, units, strict=True)):
        for what, unit in zip(words, some, strict=True):
            if what and (what not in best or unit.score > best[what][0]):
                best[what] = unit.score, at
    return [
        [_lowered(unit) if what and best[what][1] != at else unit for what, unit in zip(words, some, strict=True)]
        for at, (words, some) in enumerate(zip(said, units, strict=True))
    ]


def _said(text: str, unit: Unit) -> str:
    """What is compared; "" for what is too short to be the same."""
    start, end = unit.span
    words = " ".join(text[start:end].split()) if end - start >= SHORTEST else ""
    return words if len(words) >= SHORTEST else ""


def _lowered(unit: Unit) -> Unit:
    return replace(unit, score=unit.score - _LOWERED)
