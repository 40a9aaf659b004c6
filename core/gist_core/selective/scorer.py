"""Runs the network over windows of any number of callers: numbers in, numbers out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from gist_core.selective.heap import trim_memory
from gist_core.selective.model import QueryState
from gist_core.selective.network import Network, Output

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Key = TypeVar("Key")
Value = TypeVar("Value")
Result = TypeVar("Result")
CACHED_QUERIES = 64
CACHED_WINDOWS = 2_048  # half a million tokens; a few megabytes
CACHED_DIRECTIONS = 12_000  # 18 megabytes; of prose a quarter of a million tokens
TRIM_TOKENS = 8_192  # after so many tokens freed memory goes back to the system: 11 KiB a token pile up otherwise


class _WindowKey(NamedTuple):
    """What the scores of a window depend on; its reading depends on ``text`` alone, a digest."""

    query: tuple[int, ...]
    text: bytes


@dataclass(frozen=True, slots=True)
class WindowItem:
    """One window to score: ``query`` and ``ids`` (L,) with special tokens, ``piece`` (L,) the unit piece or -1.

    ``foreign``: its ids are those of ``Foreign.tokenizer``, for the network that reads them.
    """

    query: tuple[int, ...]
    ids: Ints
    piece: Ints
    foreign: bool = False

    def key(self) -> _WindowKey:
        """What the scores depend on."""
        return _WindowKey(self.query, blake2b(self.ids.tobytes() + self.piece.tobytes(), digest_size=16).digest())


@dataclass(frozen=True, slots=True)
class WindowScores:
    """``keep`` (tokens with a piece,), ``relevance``, cosines of query and pieces (P,), of query and window,
    and ``central`` (P,), of each piece and its window.
    """

    keep: Floats
    relevance: float
    piece_cosine: Floats
    window_cosine: float
    central: Floats


class _Reading(NamedTuple):
    """What the embedding branch says of a window, whatever is asked.

    ``window`` (H,) and ``pieces`` (P, H): their directions, of unit length; ``central`` (P,): the cosines of the two.
    """

    window: Tensor
    pieces: Tensor
    central: Tensor

    def copy(self) -> _Reading:
        """The same apart from the tensors of its batch, which a part of them would keep in memory."""
        return _Reading(*(tensor.clone() for tensor in self))


class _Fresh(NamedTuple):
    """A window to compute, and its reading, where that is known."""

    key: _WindowKey
    item: WindowItem
    reading: _Reading | None


class Scorer:
    """Runs windows in the batches that suit the network; remembers the last queries and windows of this checkpoint.

    Of a window that comes again with another query the embedding branch is not computed again.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._queries: _Recent[tuple[int, ...], QueryState] = _Recent(CACHED_QUERIES)
        self._windows: _Recent[_WindowKey, WindowScores] = _Recent(CACHED_WINDOWS)
        self._readings: _Recent[bytes, _Reading] = _Recent(CACHED_DIRECTIONS, lambda r: len(r.pieces) + 1)
        self._since_trim = 0

    def __call__(self, items: Sequence[WindowItem]) -> list[WindowScores]:
        """Score windows; the results stand in the order of the items."""
        keys = [i.key() for i in items]
        results = {k: found for k in keys if (found := self._windows.get(k)) is not None}
        new = {k: i for k, i in zip(keys, items, strict=True) if k not in results}
        queries = self._encoded([i.query for i in new.values()])
        fresh = [_Fresh(key, item, self._readings.get(key.text)) for key, item in new.items()]
        directions = sum(_pieces(f.item) + 1 for f in fresh)
        remembers = directions <= CACHED_DIRECTIONS  # more would push one another out, and take room until the end

        def run(rows: list[int]) -> list[tuple[_Fresh, WindowScores, _Reading | None]]:
            batch = [fresh[r] for r in rows]
            readings, scores = self._run(batch, [queries[f.item.query] for f in batch])
            kept = [f.reading or r.copy() if remembers else None for f, r in zip(batch, readings, strict=True)]
            done = list(zip(batch, scores, kept, strict=True))
            self._trim(sum(len(f.item.ids) for f in batch))
            return done

        lengths = [len(f.item.ids) for f in fresh], [len(f.item.query) for f in fresh]
        for done, found, reading in self._each_batch(run, *lengths):
            results[done.key] = found
            self._windows.put(done.key, found)
            if reading:
                self._readings.put(done.key.text, reading)
        return [results[k] for k in keys]

    def embed(self, rows: Sequence[Ints]) -> list[Floats]:
        """Mean-pooled embeddings (H,) of unit length of token rows with special tokens, in the order of the rows."""

        def run(batch: list[int]) -> list[tuple[int, Floats]]:
            windows = [rows[r] for r in batch]
            vectors = self._network.read(windows)
            owner = torch.repeat_interleave(torch.tensor([len(w) for w in windows])).to(vectors.device)
            found = _pooled(vectors, owner, len(batch)).cpu().numpy()
            self._trim(sum(map(len, windows)))
            return list(zip(batch, found, strict=True))

        results = dict(self._each_batch(run, [len(row) for row in rows], [0] * len(rows)))
        return [results[r] for r in range(len(rows))]

    def _each_batch(
        self, run: Callable[[list[int]], list[Result]], windows: list[int], queries: list[int]
    ) -> Iterator[Result]:
        """What ``run`` gives for the batches of windows, of these lengths, below queries of those; in any order."""
        batches = self._network.batches(windows, queries)
        return chain.from_iterable(self._network.lanes.map(torch.inference_mode()(run), batches))

    def _encoded(self, queries: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], QueryState]:
        """The queries by their ids, each encoded once."""
        known = {ids: self._queries.get(ids) for ids in dict.fromkeys(queries)}
        new = [ids for ids, state in known.items() if state is None]
        encoded = dict(zip(new, self._network.lanes.map(torch.inference_mode()(self._network.query), new), strict=True))
        for ids, state in encoded.items():
            self._queries.put(ids, state)
        return {ids: state or encoded[ids] for ids, state in known.items()}

    def _trim(self, tokens: int) -> None:
        self._since_trim += tokens
        if self._since_trim >= TRIM_TOKENS:
            trim_memory()
            self._since_trim = 0

    def _run(
        self, batch: Sequence[_Fresh], queries: Sequence[QueryState]
    ) -> tuple[list[_Reading], Iterator[WindowScores]]:
        items = [f.item for f in batch]
        output = self._network.score(queries, [i.ids for i in items], [f.reading is not None for f in batch])
        new = iter(_readings(output.embeddings, [f.item for f in batch if f.reading is None]))
        readings = [f.reading or next(new) for f in batch]
        return readings, _scores(items, output, readings, torch.stack([q.embedding for q in queries]).float())


def _readings(vectors: Tensor, items: Sequence[WindowItem]) -> Iterator[_Reading]:
    """The readings of some windows from the vectors (N, H) of their tokens."""
    if not items:
        return iter(())
    lengths, counts = [len(i.ids) for i in items], [_pieces(i) for i in items]
    place = vectors.device
    number = torch.from_numpy(_numbered(items, counts)).to(place)
    real = number >= 0
    window = _pooled(vectors, torch.repeat_interleave(torch.tensor(lengths)).to(place), len(items))
    pieces = _pooled(vectors[real], number[real], sum(counts))
    central = (pieces * window[torch.repeat_interleave(torch.tensor(counts)).to(place)]).sum(-1)
    return map(_Reading, window, torch.split(pieces, counts), torch.split(central, counts))


def _scores(
    items: Sequence[WindowItem], output: Output, readings: Sequence[_Reading], query: Tensor
) -> Iterator[WindowScores]:
    """What is said of each window; ``query`` (B, H)."""
    counts = [len(r.pieces) for r in readings]
    owner = torch.repeat_interleave(torch.tensor(counts)).to(query.device)
    pieces = (torch.cat([r.pieces for r in readings]) * query[owner]).sum(-1)
    window = (torch.stack([r.window for r in readings]) * query).sum(-1).tolist()
    keep, relevance = _split(output.keep, [len(i.ids) for i in items]), output.relevance.tolist()
    of_pieces, central = _split(pieces, counts), _split(torch.cat([r.central for r in readings]), counts)
    for row, item in enumerate(items):
        yield WindowScores(keep[row][item.piece >= 0], relevance[row], of_pieces[row], window[row], central[row])


def _pieces(item: WindowItem) -> int:
    return int(item.piece.max(initial=-1)) + 1


def _numbered(items: Sequence[WindowItem], counts: Sequence[int]) -> Ints:
    """(N,) the piece of each token, numbered over all windows; -1 for none."""
    first = np.repeat(np.cumsum(counts) - counts, [len(i.ids) for i in items])
    piece = np.concatenate([i.piece for i in items])
    return np.where(piece < 0, -1, piece + first)


def _pooled(vectors: Tensor, owner: Tensor, count: int) -> Tensor:
    """(count, H) mean directions, of unit length, of the vectors (N, H) of each owner."""
    return normalize(vectors.new_zeros(count, vectors.shape[-1]).index_add(0, owner, vectors), dim=-1)


def _split(values: Tensor, sizes: list[int]) -> list[Floats]:
    return [part.numpy() for part in torch.split(values.cpu(), sizes)]


class _Recent(Generic[Key, Value]):
    """The last values that were asked for, as many as cost ``most`` together."""

    def __init__(self, most: int, cost: Callable[[Value], int] = lambda _: 1) -> None:
        self._most, self._cost, self._spent = most, cost, 0
        self._known: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        if key in self._known:
            self._known.move_to_end(key)
        return self._known.get(key)

    def put(self, key: Key, value: Value) -> None:
        if key in self._known:
            self._spent -= self._cost(self._known[key])
        self._known[key] = value
        self._spent += self._cost(value)
        while self._spent > self._most:
            _, oldest = self._known.popitem(last=False)
            self._spent -= self._cost(oldest)
