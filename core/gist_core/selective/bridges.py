"""A sentence that names another passage, by its title, lends its score to the best sentence there.

The second hop of a question over several passages: "X is a film by Y" answers to the question, the page on Y has the
rest, and nothing of the question stands in it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from gist_core.segment import Kind, Segment

LENT = 1.0
"""How much lower than its own the logit is that a sentence lends (core/decisions/0013-bridges.md)."""

_SHORTEST = 3  # characters of a title that is looked for
_QUALIFIER = re.compile(r"\s*\([^()]*\)$")  # "Mercury (planet)" is named as "Mercury"
_WORD = re.compile(r"\w+")

Floats = NDArray[np.float32]


def with_bridges(
    texts: Sequence[str], titles: Sequence[str], segments: Sequence[Sequence[Segment]], logits: Floats
) -> Floats:
    """Logits that are never lower than those given; (U,) over the segments of all texts, as are those given.

    A title is found as it is written, between words. Of all passages that share it one sentence is lent to, and never a
    heading, which comes along with what it heads.
    """
    names = _names(titles)
    if len(names) < 2:
        return logits
    found, starts = logits.copy(), [0, *accumulate(map(len, segments))]
    says = [
        [first + at for at, segment in enumerate(own) if segment.kind is not Kind.HEADING]
        for first, own in zip(starts, segments, strict=False)  # starts has one more
    ]
    units = {name: [unit for i in some for unit in says[i]] for name, some in names.items()}
    best = {name: max(some, key=lambda unit: logits[unit]) for name, some in units.items() if some}
    of_itself, lengths = {name: set(some) for name, some in names.items()}, _lengths(best)
    for i, (text, own) in enumerate(zip(texts, segments, strict=True)):
        for number, name in _mentions(text, own, best, lengths):
            if i not in of_itself[name]:
                found[best[name]] = max(found[best[name]], logits[starts[i] + number] - LENT)
    return found


def _names(titles: Sequence[str]) -> dict[str, list[int]]:
    """What passages are called in a text -> which passages."""
    names: dict[str, list[int]] = defaultdict(list)
    for i, title in enumerate(titles):
        name = _QUALIFIER.sub("", title)
        if len(name) >= _SHORTEST and _WORD.match(name):
            names[name].append(i)
    return names


def _lengths(names: Iterable[str]) -> dict[str, set[int]]:
    """How long the names are that begin with a word: thousands of titles may begin with the same."""
    lengths: dict[str, set[int]] = defaultdict(set)
    for name in names:
        lengths[_WORD.findall(name)[0]].add(len(name))
    return lengths


def _mentions(
    text: str, segments: Sequence[Segment], names: Container[str], lengths: Mapping[str, Iterable[int]]
) -> Iterator[tuple[int, str]]:
    """The number of the segment and the name, for every name that stands in the text."""
    number = 0
    for word in _WORD.finditer(text):
        for length in lengths.get(word.group(), ()):
            end = word.start() + length
            name = text[word.start() : end]
            if name in names and not text[end : end + 1].isalnum():
                while number + 1 < len(segments) and segments[number].span.end <= word.start():
                    number += 1
                yield number, name
