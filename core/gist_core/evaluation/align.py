"""Where in its source an output stands that came without offsets: word by word, in order.

A word is looked for behind the one before it, with as many of the words after it as stand so in the source, nearest
first: a whole sentence is found at its own place although its first word stands everywhere. No word is placed so late
that a later one could not be placed any more: an output that only leaves words out is placed completely. All of it is
linear in the words of both, but for a binary search.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from gist_core.passage import Span, merge_spans
from gist_core.words import words

RUNS = (1, 2, 4, 8)
LONG = 4  # a run that chance does not make: it goes before simply going on at the next word
LEAST = 0.5
Places = dict[int, list[int]]


def align(source: str, output: str) -> list[Span] | None:
    """Spans of ``source`` that ``output`` holds; what an empty output holds is nothing.

    Args:
        source: The text that was compressed.
        output: What became of it.

    Returns:
        Sorted, disjoint spans; None where less than half of the output's words stand in the source in their order, so
        that it was written anew.
    """
    old, new = words(source), words(output)
    placed = [(at, n) for n, at in enumerate(_placed(_folded(source, old), _folded(output, new))) if at is not None]
    if len(placed) < LEAST * len(new):
        return None
    return merge_spans(_with_gaps(source, output, old, new, placed))


def _folded(text: str, found: Sequence[Span]) -> list[str]:
    return [text[start:end].casefold() for start, end in found]


def _placed(source: list[str], output: list[str]) -> list[int | None]:
    """For each word of the output the place of its word in the source, rising; None where it has none."""
    runs = _runs([*source, "", *output])
    places = [_places(ids[: len(source)]) for ids in runs]
    wanted = [ids[len(source) + 1 :] for ids in runs]
    latest = _latest(places[0], wanted[0], len(source))
    placed: list[int | None] = []
    at = -1
    for n, last in enumerate(latest):
        tried = [_next(known, ids[n], at, last) for known, ids in zip(places, wanted, strict=True)]
        long = [place for place, length in zip(tried, RUNS, strict=True) if place is not None and length >= LONG]
        found: int | None
        if long:
            found = long[-1]
        elif at >= 0 and tried[0] == at + 1:
            found = tried[0]
        else:
            found = tried[1] if tried[1] is not None else tried[0]
        placed.append(found)
        at = at if found is None else found
    return placed


def _runs(texts: list[str]) -> list[list[int]]:
    """For each length of RUNS a number for each place: equal where as many words from there on are equal.

    Runs of 2 n are pairs of runs of n. Those that reach over the end are like no other.
    """
    names: dict[object, int] = {}
    ids = [names.setdefault(text, len(names)) for text in texts]
    levels = [ids]
    for length in RUNS[:-1]:
        pairs: dict[object, int] = {}
        ends = [*ids[length:], *(-1 - n for n in range(min(length, len(ids))))]
        ids = [pairs.setdefault(pair, len(pairs)) for pair in zip(ids, ends, strict=True)]
        levels.append(ids)
    return levels


def _places(ids: Sequence[int]) -> Places:
    found: Places = defaultdict(list)
    for at, number in enumerate(ids):
        found[number].append(at)
    return dict(found)


def _latest(places: Places, wanted: Sequence[int], size: int) -> list[int]:
    """The last place at which each word may stand so that those behind it can; no limit for a text in other order."""
    at, latest = size, []
    for number in reversed(wanted):
        known = places.get(number, ())
        before = bisect_left(known, at) - 1
        if before >= 0:
            at = known[before]
        elif known:
            return [size] * len(wanted)
        latest.append(at)
    return latest[::-1]


def _next(places: Places, number: int, after: int, last: int) -> int | None:
    known = places.get(number, ())
    index = bisect_left(known, after + 1)
    return known[index] if index < len(known) and known[index] <= last else None


def _with_gaps(
    source: str, output: str, old: Sequence[Span], new: Sequence[Span], placed: Sequence[tuple[int, int]]
) -> list[Span]:
    """The placed words, what stands between two that are neighbours in both, and the marks that end a word in both."""
    spans = [Span(old[at].start, old[at].end + _marks(source, output, old[at].end, new[n].end)) for at, n in placed]
    neighbours = [(a, b) for (a, n), (b, m) in pairwise(placed) if b == a + 1 and m == n + 1]
    return [*spans, *(Span(old[a].end, old[b].start) for a, b in neighbours)]


def _marks(source: str, output: str, at: int, there: int) -> int:
    """How many characters behind a word are the same in both, up to white space or the next word."""
    count = 0
    while source[at + count : at + count + 1] == output[there + count : there + count + 1] != "":
        mark = source[at + count]
        if mark.isspace() or mark.isalnum():
            break
        count += 1
    return count
