"""Words in any script: with their places, or as the terms a search goes by."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

from gist_core.passage import Span
from gist_core.segment.values import CJK, UNSPACED

_WITHOUT = f"{CJK}{UNSPACED}"  # scripts written without spaces
_ALONE = re.compile(f"[{_WITHOUT}]")
# Python's \w leaves out the vowel signs of Indic scripts, which would tear their words apart.
_MARKS = "".join(c for c in map(chr, range(0x300, 0x1E00)) if unicodedata.category(c)[0] == "M" and not _ALONE.match(c))
_SPACED = rf"(?>(?:[^\W{_WITHOUT}]++|[{_MARKS}])+)"
_WORD = re.compile(rf"{_SPACED}|[{_WITHOUT}]")
_TERM = re.compile(rf"(?P<word>{_SPACED})|[{_WITHOUT}]++")


def words(text: str) -> list[Span]:
    """Where each word stands; a character by itself in scripts without spaces."""
    return [Span(*found.span()) for found in _WORD.finditer(text)]


def word_texts(text: str) -> list[str]:
    """The words, case folded."""
    return _WORD.findall(text.casefold())


def terms(text: str) -> list[str]:
    """Lower-cased words; in scripts without spaces the pairs of characters that stand side by side.

    Example:
        >>> terms("Kyoto は京都市")
        ['kyoto', 'は京', '京都', '都市']
    """
    return [term for _, term in term_places(text)]


def term_places(text: str) -> Iterator[tuple[int, str]]:
    """The terms, each with where it starts."""
    for match in _TERM.finditer(text):
        run, start = match[0].lower(), match.start()
        if match["word"] or len(run) == 1:
            yield start, run
        else:
            yield from enumerate(map("".join, pairwise(run)), start)


def is_unspaced(text: str) -> bool:
    """Whether a character of a script without spaces is among these."""
    return _ALONE.search(text) is not None
