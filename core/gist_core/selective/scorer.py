"""Runs the network over windows of any number of callers: numbers in, numbers out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from gist_core.selective.model import QueryState, SelectiveModel

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
CPU_BATCH_TOKENS = 1_024  # activations stay in the cache: 561 ms where 4,096 took 747 (core/decisions/log.md)
GPU_BATCH_TOKENS = 16_384
CACHED_QUERIES = 64


@dataclass(frozen=True, slots=True)
class WindowItem:
    """One window to score: ``query`` and ``ids`` (L,) with special tokens, ``piece`` (L,) the unit piece or -1."""

    query: tuple[int, ...]
    ids: Ints
    piece: Ints


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
    """Batches windows by length and runs them; encodes each query once and remembers the last ones."""

    def __init__(self, model: SelectiveModel, device: torch.device, dtype: torch.dtype) -> None:
        self._model = model.to(device=device, dtype=dtype).eval()
        self._device = device
        self._batch_tokens = CPU_BATCH_TOKENS if device.type == "cpu" else GPU_BATCH_TOKENS
        self._queries: OrderedDict[tuple[int, ...], QueryState] = OrderedDict()

    @torch.inference_mode()
    def __call__(self, items: Sequence[WindowItem]) -> list[WindowScores]:
        """Score windows; the results stand in the order of the items."""
        results: list[WindowScores | None] = [None] * len(items)
        for rows in _batches([len(i.ids) for i in items], self._batch_tokens):
            for row, scores in zip(rows, self._run([items[r] for r in rows]), strict=True):
                results[row] = scores
        return [r for r in results if r is not None]

    @torch.inference_mode()
    def embed(self, rows: Sequence[Ints]) -> list[Floats]:
        """Mean-pooled embeddings (H,) of unit length of token rows with special tokens, in the order of the rows."""
        results: dict[int, Floats] = {}
        for batch in _batches([len(row) for row in rows], self._batch_tokens):
            width = max(len(rows[r]) for r in batch)
            ids, mask = np.zeros((len(batch), width), np.int64), np.zeros((len(batch), width), np.bool_)
            for at, r in enumerate(batch):
                ids[at, : len(rows[r])], mask[at, : len(rows[r])] = rows[r], True
            real = torch.from_numpy(mask).to(self._device)
            shared = self._model.encode_windows(torch.from_numpy(ids).to(self._device), real)
            pooled = (self._model.embed(shared, real).float() * real[..., None]).sum(1)
            results.update(zip(batch, normalize(pooled, dim=-1).cpu().numpy(), strict=True))
        return [results[r] for r in range(len(rows))]

    def _query(self, ids: tuple[int, ...]) -> QueryState:
        if ids not in self._queries:
            self._queries[ids] = self._model.encode_query(torch.tensor([ids], device=self._device))
            if len(self._queries) > CACHED_QUERIES:
                self._queries.popitem(last=False)
        self._queries.move_to_end(ids)
        return self._queries[ids]

    def _run(self, items: list[WindowItem]) -> Iterator[WindowScores]:
        width = max(len(i.ids) for i in items)
        ids, piece = np.zeros((len(items), width), dtype=np.int64), np.full((len(items), width), -1, dtype=np.int64)
        mask = np.zeros((len(items), width), dtype=np.bool_)
        first, pieces = 0, []
        for row, item in enumerate(items):
            length = len(item.ids)
            ids[row, :length], mask[row, :length] = item.ids, True
            piece[row, :length] = np.where(item.piece >= 0, item.piece + first, -1)
            pieces.append(int(item.piece.max(initial=-1)) + 1)
            first += pieces[-1]
        arrays = [torch.from_numpy(a).to(self._device) for a in (ids, mask, piece)]
        keep, relevance, unit, window, central = self._forward(items, pieces, *arrays)
        real = piece >= 0
        at = 0
        for row, count in enumerate(pieces):
            part = slice(at, at + count)
            yield WindowScores(
                keep[row][real[row]], float(relevance[row]), unit[part], float(window[row]), central[part]
            )
            at += count

    def _forward(
        self, items: list[WindowItem], pieces: list[int], ids: Tensor, mask: Tensor, piece: Tensor
    ) -> tuple[Floats, Floats, Floats, Floats, Floats]:
        states = [self._query(i.query) for i in items]
        shared = self._model.encode_windows(ids, mask)
        keep, relevance = self._model.interact(*_pad_queries(states), shared, mask)
        vectors = self._model.embed(shared, mask).float()
        query = torch.stack([s.embedding for s in states]).float()
        window = normalize((vectors * mask[..., None]).sum(1), dim=-1)
        real = piece >= 0
        sums = vectors.new_zeros(sum(pieces), vectors.shape[-1]).index_add(0, piece[real], vectors[real])
        units, owner = normalize(sums, dim=-1), torch.repeat_interleave(torch.tensor(pieces, device=ids.device))
        outputs = (
            keep.float(),
            relevance.float(),
            (units * query[owner]).sum(-1),
            (window * query).sum(-1),
            (units * window[owner]).sum(-1),
        )
        return tuple(o.cpu().numpy() for o in outputs)  # type: ignore[return-value]  # five by construction


def _pad_queries(states: list[QueryState]) -> tuple[Tensor, Tensor]:
    """(B, Q, H) and mask (B, Q); one shared query is a view, not a copy."""
    first = states[0].hidden
    if all(s is states[0] for s in states):
        hidden = first.expand(len(states), -1, -1)
        return hidden, torch.ones(hidden.shape[:2], dtype=torch.bool, device=first.device)
    width = max(s.hidden.shape[1] for s in states)
    hidden = first.new_zeros(len(states), width, first.shape[2])
    mask = torch.zeros(len(states), width, dtype=torch.bool, device=first.device)
    for row, state in enumerate(states):
        length = state.hidden.shape[1]
        hidden[row, :length], mask[row, :length] = state.hidden[0], True
    return hidden, mask


def _batches(lengths: Sequence[int], most: int) -> Iterator[list[int]]:
    """Rows of like length, at most ``most`` padded tokens together."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and lengths[row] * (len(batch) + 1) > most:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
