"""How right a reader's answer is: exact match and F1 as SQuAD counts them. Pure functions.

Lower case, punctuation and articles dropped, white space folded, as in the official script of SQuAD; punctuation is
that of every script (as in MLQA), and in scripts without spaces every character is a word (as in CMRC 2018).
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

from gist_core.segment.values import CJK, UNSPACED

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WORD = re.compile(rf"[{CJK}{UNSPACED}]|[^\s{CJK}{UNSPACED}]+")


def answer_words(text: str) -> list[str]:
    """The words that are compared.

    Example:
        >>> answer_words("The U.S. Army, 奈良")
        ['us', 'army', '奈', '良']
    """
    kept = "".join(c for c in text.lower() if c not in string.punctuation and unicodedata.category(c)[0] != "P")
    return _WORD.findall(_ARTICLES.sub(" ", kept))


def exact_match(prediction: str, answers: Iterable[str]) -> bool:
    """Whether the prediction is one of the answers, word for word."""
    words = answer_words(prediction)
    return any(words == answer_words(answer) for answer in answers)


def best_f1(prediction: str, answers: Iterable[str]) -> float:
    """The highest F1 of words against any of the answers, 0 to 1; 0 without answers."""
    words = answer_words(prediction)
    return max((_f1(words, answer_words(answer)) for answer in answers), default=0.0)


def _f1(words: Sequence[str], gold: Sequence[str]) -> float:
    if not words or not gold:
        return float(words == gold)
    shared = sum((Counter(words) & Counter(gold)).values())
    return 2 * shared / (len(words) + len(gold))
