"""What is measured of an output. Pure functions; the definitions stand in their docstrings."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from gist_core.passage import Span
from gist_core.words import is_unspaced, word_texts

_ARTICLES = re.compile(r"\b(a|an|the)\b")
SHORTEST_ANSWER = 3
WHOLE = 0.9  # of a gold span: its end may lack a word or a mark


@lru_cache(maxsize=32)
def normalise(text: str) -> str:
    """Lower case, punctuation to spaces, articles dropped, white space folded; padded with a space at each end."""
    spaced = "".join(" " if unicodedata.category(c)[0] in "PS" else c for c in text.lower())
    return f" {' '.join(_ARTICLES.sub(' ', spaced).split())} "


def holds_answer(text: str, answers: Iterable[str]) -> bool:
    """Whether an answer stands in the text as whole words (as a substring in scripts without spaces)."""
    body = normalise(text)
    for answer in answers:
        wanted = normalise(answer)
        if wanted.strip() and (wanted in body or (is_unspaced(wanted) and wanted.strip() in body)):
            return True
    return False


def usable_answers(answers: Iterable[str]) -> list[str]:
    """Answers that can be looked for: no yes/no, at least three characters (one in scripts without spaces)."""
    kept = []
    for answer in answers:
        plain = normalise(answer).strip()
        if plain in {"yes", "no", "maybe", ""}:
            continue
        if len(plain) >= SHORTEST_ANSWER or is_unspaced(plain):
            kept.append(answer)
    return kept


def share_inside(evidence: Sequence[Span], kept: Sequence[Span]) -> tuple[int, int]:
    """(characters of ``evidence`` that lie inside ``kept``, characters of ``evidence``); both lists disjoint."""
    inside = sum(max(0, min(e.end, k.end) - max(e.start, k.start)) for e in evidence for k in kept)
    return inside, sum(e.end - e.start for e in evidence)


def share_of_evidence(evidence: Sequence[Sequence[Span]], kept: Sequence[Sequence[Span]]) -> float | None:
    """Share of the characters of gold evidence that were kept; None where there is none. Both lists: by passage."""
    shares = [share_inside(e, k) for e, k in zip(evidence, kept, strict=True)]
    total = sum(whole for _, whole in shares)
    return sum(inside for inside, _ in shares) / total if total else None


def is_all_kept(evidence: Sequence[Sequence[Span]], kept: Sequence[Sequence[Span]]) -> bool | None:
    """Whether every gold span was kept to at least 90 %; None where there is none. Both lists: by passage."""
    pairs = [(e, k) for spans, k in zip(evidence, kept, strict=True) for e in spans]
    if not pairs:
        return None
    return all(share_inside([e], k)[0] >= WHOLE * (e.end - e.start) for e, k in pairs)


def is_altered(source: str, output: str) -> bool:
    """Whether a word or number of the output, case folded, is not in the source; an order of their own is allowed."""
    return not set(word_texts(output)) <= set(word_texts(source))


def fill(tokens_in: int, budget: int, tokens: int) -> float | None:
    """The share of its budget that an output uses; None where the source is smaller than that."""
    return tokens / budget if tokens_in >= budget > 0 else None
