"""What is measured of an output. Pure functions; the definitions stand in their docstrings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from gist_core.passage import Span

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")
SHORTEST_ANSWER = 3


def normalise(text: str) -> str:
    """Lower case, punctuation to spaces, articles dropped, white space folded; padded with a space at each end."""
    spaced = "".join(" " if unicodedata.category(c)[0] in "PS" else c for c in text.lower())
    return f" {' '.join(_ARTICLES.sub(' ', spaced).split())} "


def holds_answer(text: str, answers: Iterable[str]) -> bool:
    """Whether an answer stands in the text as whole words (as a substring in scripts without spaces)."""
    body = normalise(text)
    for answer in answers:
        wanted = normalise(answer)
        if wanted.strip() and (wanted in body or (_UNSPACED.search(wanted) and wanted.strip() in body)):
            return True
    return False


def usable_answers(answers: Iterable[str]) -> list[str]:
    """Answers that can be looked for: no yes/no, at least three characters (one in scripts without spaces)."""
    kept = []
    for answer in answers:
        plain = normalise(answer).strip()
        if plain in {"yes", "no", "maybe", ""}:
            continue
        if len(plain) >= SHORTEST_ANSWER or _UNSPACED.search(plain):
            kept.append(answer)
    return kept


def share_inside(evidence: Sequence[Span], kept: Sequence[Span]) -> tuple[int, int]:
    """(characters of ``evidence`` that lie inside ``kept``, characters of ``evidence``); both lists disjoint."""
    inside = sum(max(0, min(e.end, k.end) - max(e.start, k.start)) for e in evidence for k in kept)
    return inside, sum(e.end - e.start for e in evidence)


def bootstrap_interval(values: Sequence[float], seed: int = 0, draws: int = 2_000) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the mean; of paired differences when given those."""
    data: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    if not len(data):
        return (float("nan"), float("nan"))
    picks = np.random.default_rng(seed).integers(0, len(data), size=(draws, len(data)))
    low, high = np.percentile(data[picks].mean(axis=1), [2.5, 97.5])
    return float(low), float(high)
