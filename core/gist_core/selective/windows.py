"""Texts and their units -> token windows the encoder can read. Arrays over tokens, never a loop over tokens.

A window holds whole units of one passage where they fit; a unit longer than a window is cut. Passages
shorter than ``SHORT_PASSAGE`` tokens (chat turns) share a window with their neighbours, so that a turn is
read in its context. Between two passages of a window stands a [SEP].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from gist_core.passage import Span

Ints = NDArray[np.int64]
SHORT_PASSAGE = 64
PART_CHARACTERS = 65_536  # tokenised at a time, or one unit if that is longer
_LONE_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Every token of every passage, in order, without special tokens.

    ``ids``, ``start``, ``end`` (character offsets in the passage), ``unit`` (number of the unit over
    all passages) and ``passage`` are (N,); ``unit_passage`` is (U,). ``spelled`` is what ``spelled_share`` says.
    """

    spelled: float
    ids: Ints
    start: Ints
    end: Ints
    unit: Ints
    passage: Ints
    unit_passage: Ints


@dataclass(frozen=True, slots=True)
class Titles:
    """``of`` (P,): which of the ``texts`` each passage has; the first of them is none. ``ids`` are their tokens."""

    of: Ints
    texts: Sequence[str] = ("",)
    ids: Sequence[Sequence[int]] = ((),)


@dataclass(frozen=True, slots=True)
class Windows:
    """Cuts of the token stream: window w holds the tokens ``bounds[w]:bounds[w + 1]``.

    All passages of a window have the same title.
    """

    tokens: Tokens
    bounds: Ints
    titles: Titles

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def title(self, row: int) -> int:
        """Which of the titles window ``row`` has."""
        return int(self.titles.of[self.tokens.passage[self.bounds[row]]])


def clean(text: str) -> str:
    """The text with lone surrogates replaced one for one, since the tokenizers package raises on them."""
    return text.translate(_LONE_SURROGATES) if not text.isascii() else text


def tokenize(texts: Sequence[str], units: Sequence[Sequence[Span]], tokenizer: Tokenizer) -> Tokens:
    """Tokenise passages and say which unit every token belongs to.

    Args:
        texts: One string a passage.
        units: For each passage its units: sorted, disjoint, covering every non-blank character.
        tokenizer: Without truncation and padding; special tokens are not added.
    """
    unit_starts = [np.asarray([s.start for s in spans], dtype=np.int64) for spans in units]
    firsts = np.cumsum([0, *map(len, units)])
    unknown = tokenizer.token_to_id("[UNK]")
    ids, starts, ends, owner, passage = [], [], [], [], []
    words, spelled = 0, 0
    for part, encoding in _encoded(texts, unit_starts, tokenizer):
        offsets = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2) + part.start
        ids.append(np.asarray(encoding.ids, dtype=np.int64))
        starts.append(offsets[:, 0])
        ends.append(offsets[:, 1])
        unit = np.searchsorted(unit_starts[part.passage], offsets[:, 0], side="right") - 1
        owner.append(np.maximum(unit, 0) + firsts[part.passage])
        passage.append(np.full(len(offsets), part.passage, dtype=np.int64))
        more = _spelled(encoding, unknown, part.text)
        words, spelled = words + more[0], spelled + more[1]
    columns = (ids, starts, ends, owner, passage, [np.repeat(np.arange(len(units)), list(map(len, units)))])
    share = spelled / max(words, 1)
    return Tokens(share, *(np.concatenate(c) if c else np.zeros(0, dtype=np.int64) for c in columns))


class _Part(NamedTuple):
    """Characters of a passage, from ``start`` on, that are tokenised together."""

    passage: int
    start: int
    text: str


def _encoded(
    texts: Sequence[str], unit_starts: Sequence[Ints], tokenizer: Tokenizer
) -> Iterator[tuple[_Part, Encoding]]:
    """Every text in parts, and their tokens. Some at a time: an encoding takes a hundred times the room of its ids."""
    batch: list[_Part] = []
    size = 0
    for number, (text, starts) in enumerate(zip(texts, unit_starts, strict=True)):
        for part in _parts(number, text, starts):
            batch.append(part)
            size += len(part.text)
            if size >= PART_CHARACTERS:
                yield from zip(batch, _encode(batch, tokenizer), strict=True)
                batch, size = [], 0
    yield from zip(batch, _encode(batch, tokenizer), strict=True)


def _parts(number: int, text: str, starts: Ints) -> Iterator[_Part]:
    """Cut before units that begin behind white space, where no word is parted; a shorter text is one part."""
    low = 0
    if len(text) > PART_CHARACTERS:
        for start in starts.tolist():
            if start - low >= PART_CHARACTERS and text[start - 1].isspace():
                yield _Part(number, low, text[low:start])
                low = start
    yield _Part(number, low, text[low:])


def _encode(parts: Sequence[_Part], tokenizer: Tokenizer) -> list[Encoding]:
    found: list[Encoding] = tokenizer.encode_batch([clean(p.text) for p in parts], add_special_tokens=False)
    return found


def spelled_share(encoding: Encoding, tokenizer: Tokenizer, text: str) -> float:
    """Share of the words of which the vocabulary has no more than parts: how foreign a text is to it.

    Words with digits are left out: an identifier is spelled in every language.
    """
    words, spelled = _spelled(encoding, tokenizer.token_to_id("[UNK]"), text)
    return spelled / max(words, 1)


def _spelled(encoding: Encoding, unknown: int | None, text: str) -> tuple[int, int]:
    """How many words without digits there are, and how many of them are spelled."""
    number = np.asarray(encoding.word_ids, dtype=np.int64)
    if not len(number):
        return 0, 0
    pieces = np.bincount(number)
    unread = np.bincount(number, np.asarray(encoding.ids) == unknown) > 0
    told = (pieces > 0) & (np.bincount(number, _digits(encoding, text)) == 0)
    return int(told.sum()), int((told & ((pieces > 1) | unread)).sum())


def _digits(encoding: Encoding, text: str) -> Ints:
    """(N,) how many digits stand in each token."""
    codes = np.frombuffer(clean(text).encode("utf-32-le"), dtype="<u4")
    before = np.concatenate([[0], np.cumsum((codes >= ord("0")) & (codes <= ord("9")))])
    start, end = np.asarray(encoding.offsets, dtype=np.int64).T
    return np.asarray(before[end] - before[start])


def read_titles(titles: Sequence[str], tokenizer: Tokenizer, limit: int) -> Titles:
    """The titles of some passages, "" for none; the end of one of more than ``limit`` tokens is left out."""
    texts = list(dict.fromkeys(["", *titles]))
    number = {text: at for at, text in enumerate(texts)}
    encoded = tokenizer.encode_batch([clean(t) for t in texts], add_special_tokens=False)
    return Titles(np.array([number[t] for t in titles], dtype=np.int64), texts, [e.ids[:limit] for e in encoded])


def windows(tokens: Tokens, size: int, titles: Titles | None = None) -> Windows:
    """Cut the token stream into windows of at most ``size`` tokens, separators between passages counted.

    The loop runs over runs of tokens of one unit, greedily; a passage of ``SHORT_PASSAGE`` tokens or
    more starts a window of its own, and so does one with another title than the one before. The title comes on top.
    """
    count = len(tokens.ids)
    titles = titles or Titles(np.zeros(int(tokens.passage.max(initial=-1)) + 1, dtype=np.int64))
    if not count:
        return Windows(tokens, np.zeros(1, dtype=np.int64), titles)
    edges = np.flatnonzero(np.diff(tokens.unit, prepend=-1))
    lengths = np.diff(edges, append=count)
    owners = tokens.passage[edges]
    long = np.bincount(tokens.passage) >= SHORT_PASSAGE
    bounds, used, last = [0], 0, int(owners[0])
    for edge, length, owner in zip(edges.tolist(), lengths.tolist(), owners.tolist(), strict=True):
        change = owner != last
        cost = length + change
        apart = change and (long[owner] or long[last] or titles.of[owner] != titles.of[last])
        if used and (used + cost > size or apart):
            bounds.append(edge)
            used, cost = 0, length
        while cost > size:
            bounds.append(bounds[-1] + size)
            cost -= size
        used, last = used + cost, owner
    return Windows(tokens, np.asarray([*bounds, count], dtype=np.int64), titles)


@dataclass(frozen=True, slots=True)
class Batch:
    """A padded batch: ``ids`` and ``mask`` (B, L), and ``at`` (B, L): the token number, -1 for special and padding."""

    ids: Ints
    mask: NDArray[np.bool_]
    at: Ints


def collate(cut: Windows, rows: Sequence[int], cls: int, sep: int, pad: int) -> Batch:
    """Pad the windows ``rows`` into one batch: [CLS], title and [SEP] if any, texts with [SEP] between them, [SEP]."""
    sequences = [_with_separators(cut, row) for row in rows]
    heads = [cut.titles.ids[cut.title(row)] for row in rows]
    before = [len(h) + 2 if len(h) else 1 for h in heads]
    width = max(first + len(s) for first, s in zip(before, sequences, strict=True)) + 1
    at = np.full((len(rows), width), -1, dtype=np.int64)
    mask = np.zeros((len(rows), width), dtype=np.bool_)
    ids = np.full((len(rows), width), pad, dtype=np.int64)
    for i, (first, head, sequence) in enumerate(zip(before, heads, sequences, strict=True)):
        end = first + len(sequence)
        at[i, first:end] = sequence
        ids[i, : end + 1] = sep
        ids[i, 1 : len(head) + 1] = head
        mask[i, : end + 1] = True
    real = at >= 0
    ids[real] = cut.tokens.ids[at[real]]
    ids[:, 0] = cls
    return Batch(ids, mask, at)


def padded(rows: Sequence[Sequence[int] | Ints], pad: int) -> tuple[Ints, NDArray[np.bool_]]:
    """Rows of ids of any length -> (B, L) ids and mask, True where an id is real."""
    ids = np.full((len(rows), max(map(len, rows))), pad, dtype=np.int64)
    mask = np.zeros(ids.shape, dtype=np.bool_)
    for at, row in enumerate(rows):
        ids[at, : len(row)], mask[at, : len(row)] = row, True
    return ids, mask


def _with_separators(cut: Windows, row: int) -> Ints:
    numbers = np.arange(cut.bounds[row], cut.bounds[row + 1])
    passage = cut.tokens.passage[numbers]
    return np.insert(numbers, np.flatnonzero(np.diff(passage)) + 1, -1)
