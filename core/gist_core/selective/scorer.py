"""Runs the network over windows of any number of callers: numbers in, numbers out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from gist_core.selective.heap import trim_memory
from gist_core.selective.model import QueryState
from gist_core.selective.network import Network

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Key = TypeVar("Key")
Value = TypeVar("Value")
Result = TypeVar("Result")
CACHED_QUERIES = 64
CACHED_WINDOWS = 2_048  # half a million tokens; a few megabytes
TRIM_TOKENS = 8_192  # after so many tokens freed memory goes back to the system: 11 KiB a token pile up otherwise


@dataclass(frozen=True, slots=True)
class WindowItem:
    """One window to score: ``query`` and ``ids`` (L,) with special tokens, ``piece`` (L,) the unit piece or -1.

    ``foreign``: its ids are those of ``Foreign.tokenizer``, for the network that reads them.
    """

    query: tuple[int, ...]
    ids: Ints
    piece: Ints
    foreign: bool = False

    def key(self) -> bytes:
        """What the scores depend on, as a digest."""
        digest = blake2b(np.asarray(self.query, dtype=np.int64).tobytes(), digest_size=16)
        digest.update(b"|" + self.ids.tobytes() + self.piece.tobytes())
        return digest.digest()


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


class Scorer:
    """Runs windows in the batches that suit the network; remembers the last queries and windows of this checkpoint."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._queries: _Recent[tuple[int, ...], QueryState] = _Recent(CACHED_QUERIES)
        self._windows: _Recent[bytes, WindowScores] = _Recent(CACHED_WINDOWS)
        self._since_trim = 0

    def __call__(self, items: Sequence[WindowItem]) -> list[WindowScores]:
        """Score windows; the results stand in the order of the items."""
        keys = [i.key() for i in items]
        results = {k: found for k in keys if (found := self._windows.get(k)) is not None}
        new = {k: i for k, i in zip(keys, items, strict=True) if k not in results}
        queries, fresh = self._encoded([i.query for i in new.values()]), list(new.items())

        def run(rows: list[int]) -> list[tuple[bytes, WindowScores]]:
            batch = [fresh[r][1] for r in rows]
            scores = list(self._run(batch, [queries[i.query] for i in batch]))
            self._trim(sum(len(i.ids) for i in batch))
            return list(zip((fresh[r][0] for r in rows), scores, strict=True))

        lengths = [len(i.ids) for i in new.values()], [len(i.query) for i in new.values()]
        for key, found in self._each_batch(run, *lengths):
            results[key] = found
            self._windows.put(key, found)
        return [results[k] for k in keys]

    def embed(self, rows: Sequence[Ints]) -> list[Floats]:
        """Mean-pooled embeddings (H,) of unit length of token rows with special tokens, in the order of the rows."""

        def run(batch: list[int]) -> list[tuple[int, Floats]]:
            windows = [rows[r] for r in batch]
            _, vectors = self._network.read(windows)
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

    def _run(self, items: list[WindowItem], queries: list[QueryState]) -> Iterator[WindowScores]:
        lengths = [len(i.ids) for i in items]
        counts = [int(i.piece.max(initial=-1)) + 1 for i in items]
        output = self._network.score(queries, [i.ids for i in items])
        first = np.repeat(np.cumsum(counts) - counts, lengths)
        piece = np.concatenate([i.piece for i in items])
        query = torch.stack([q.embedding for q in queries]).float()
        cosines = _cosines(output.embeddings, query, lengths, counts, np.where(piece < 0, -1, piece + first))
        keep, unit, central = _split(output.keep, lengths), _split(cosines[0], counts), _split(cosines[2], counts)
        relevance, window = output.relevance.tolist(), cosines[1].tolist()
        for row, item in enumerate(items):
            yield WindowScores(keep[row][item.piece >= 0], relevance[row], unit[row], window[row], central[row])


def _cosines(
    vectors: Tensor, query: Tensor, lengths: list[int], counts: list[int], piece: Ints
) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines of query and pieces, of query and windows, of pieces and their windows.

    ``vectors`` (N, H) of the tokens, ``query`` (B, H), ``piece`` (N,) numbered over all windows, -1 for none.
    """
    place = vectors.device
    token_window = torch.repeat_interleave(torch.tensor(lengths)).to(place)
    piece_window = torch.repeat_interleave(torch.tensor(counts)).to(place)
    number = torch.from_numpy(piece).to(place)
    real = number >= 0
    window = _pooled(vectors, token_window, len(lengths))
    units = _pooled(vectors[real], number[real], sum(counts))
    of_units, of_windows = (units * query[piece_window]).sum(-1), (window * query).sum(-1)
    return of_units, of_windows, (units * window[piece_window]).sum(-1)


def _pooled(vectors: Tensor, owner: Tensor, count: int) -> Tensor:
    """(count, H) mean directions, of unit length, of the vectors (N, H) of each owner."""
    return normalize(vectors.new_zeros(count, vectors.shape[-1]).index_add(0, owner, vectors), dim=-1)


def _split(values: Tensor, sizes: list[int]) -> list[Floats]:
    return [part.numpy() for part in torch.split(values.cpu(), sizes)]


class _Recent(Generic[Key, Value]):
    """The last ``size`` values that were asked for."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: OrderedDict[Key, Value] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        if key in self._known:
            self._known.move_to_end(key)
        return self._known.get(key)

    def put(self, key: Key, value: Value) -> None:
        self._known[key] = value
        if len(self._known) > self._size:
            self._known.popitem(last=False)
