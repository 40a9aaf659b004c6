"""Examples -> padded tensors. Windows of like length stand together, so little is padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gist_core.selective.lexical import overlap
from gist_core.selective.signals import Special
from gist_core.selective.windows import collate, padded
from gist_core.training.examples import Example, LabelledWindow

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Windows of like length: ``ids``, ``mask``, ``real`` (B, L), the question of each row (B,), flat targets.

    ``labels``, ``unit`` are (N,) over the real tokens in row-major order.
    """

    ids: Tensor
    mask: Tensor
    real: Tensor
    question: Tensor
    relevant: Tensor
    labels: Tensor
    unit: Tensor


@dataclass(frozen=True, slots=True)
class TrainingBatch:
    """A step: queries (Q, Lq) padded, chunks of windows, and for each unit its question, its window row and

    ``lexical`` (U, 4): BM25 of the unit and of its window, word pairs, log of the length (``selective.lexical``).
    """

    query_ids: Tensor
    query_mask: Tensor
    chunks: list[Chunk]
    unit_question: Tensor
    unit_window: Tensor
    lexical: Tensor


def make_batch(examples: Sequence[Example], special: Special, chunk_rows: int = 16) -> TrainingBatch:
    """Pad a step's examples; units are numbered over the whole step, a cut unit once a window."""
    rows = rows_of(examples)
    chunks, unit_question, unit_window, first = [], [], [], 0
    for at in range(0, len(rows), chunk_rows):
        part = rows[at : at + chunk_rows]
        units = [np.unique(w.unit, return_inverse=True)[1] for _, w in part]
        counts = [int(u.max()) + 1 if len(u) else 0 for u in units]
        offsets = first + np.concatenate([[0], np.cumsum(counts)[:-1]])
        chunks.append(_chunk(part, [u + o for u, o in zip(units, offsets, strict=True)], special))
        unit_question += [q for (q, _), c in zip(part, counts, strict=True) for _ in range(c)]
        unit_window += [at + i for i, c in enumerate(counts) for _ in range(c)]
        first += sum(counts)
    queries = [[special.cls, *e.query, special.sep] for e in examples]
    ids, mask = map(torch.from_numpy, padded(queries, special.pad))
    question, window = np.asarray(unit_question, dtype=np.int64), np.asarray(unit_window, dtype=np.int64)
    lexical = _lexical(examples, rows, np.concatenate([c.unit.numpy() for c in chunks]), question, window)
    return TrainingBatch(ids, mask, chunks, torch.from_numpy(question), torch.from_numpy(window), lexical)


def rows_of(examples: Sequence[Example]) -> list[tuple[int, LabelledWindow]]:
    """The windows of a step with the number of their question, in the order in which a batch has them."""
    rows = [(q, w) for q, e in enumerate(examples) for w in e.windows]
    rows.sort(key=lambda row: len(row[1].labels))
    return rows


def _lexical(
    examples: Sequence[Example], rows: list[tuple[int, LabelledWindow]], unit: Ints, question: Ints, window: Ints
) -> Tensor:
    """Word overlap of every unit with its question, counted over the windows of the question."""
    tokens = np.concatenate([w.ids for _, w in rows])
    out = np.zeros((len(question), 4), dtype=np.float32)
    out[:, 3] = np.log1p(np.bincount(unit, minlength=len(question)))
    for number, example in enumerate(examples):
        inside = question[unit] == number
        units, local = np.unique(unit[inside], return_inverse=True)
        windows, place = np.unique(window[unit[inside]], return_inverse=True)
        query = np.asarray(example.query, dtype=np.int64)
        found = overlap(query, tokens[inside], local, place, len(units), len(windows))
        of_window = found.window[np.searchsorted(windows, window[units])]
        out[units, :3] = np.stack([found.unit, of_window, found.pairs], axis=1)
    return torch.from_numpy(out)


def _chunk(part: list[tuple[int, LabelledWindow]], units: list[np.ndarray], special: Special) -> Chunk:
    batches = [collate(w.source.cut, [w.row], special.cls, special.sep, special.pad) for _, w in part]
    width = max(b.ids.shape[1] for b in batches)
    ids = np.full((len(part), width), special.pad, dtype=np.int64)
    mask = np.zeros((len(part), width), dtype=np.bool_)
    real = np.zeros((len(part), width), dtype=np.bool_)
    for i, b in enumerate(batches):
        length = b.ids.shape[1]
        ids[i, :length], mask[i, :length], real[i, :length] = b.ids[0], b.mask[0], b.at[0] >= 0
    return Chunk(
        torch.from_numpy(ids),
        torch.from_numpy(mask),
        torch.from_numpy(real),
        torch.tensor([q for q, _ in part]),
        torch.tensor([w.relevant for _, w in part]),
        torch.from_numpy(np.concatenate([w.labels for _, w in part])),
        torch.from_numpy(np.concatenate(units)),
    )
