"""What a step's windows look like to the selective model, and to what is read of them before it is mixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from gist_core.selective.model import SelectiveModel
from gist_core.selective.network import Network
from gist_core.training.batches import Chunk, TrainingBatch

KNOWN = ("keep", "relevance", "unit_cosine", "window_cosine", "central", "unit_bm25", "window_bm25", "pairs", "length")
"""Of the signals of a call, those that a step has of every unit."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Flat over the N tokens of a step: ``keep``, ``labels``, ``unit``; over its windows: ``relevance``, ``relevant``;
    over its units: ``cosines`` (U, 3) of query and unit, query and window, unit and window, ``lexical`` (U, 4), the
    numbers of their ``question`` and ``window``.
    """

    keep: Tensor
    labels: Tensor
    unit: Tensor
    relevance: Tensor
    relevant: Tensor
    cosines: Tensor
    lexical: Tensor
    question: Tensor
    window: Tensor

    def signals(self, scores: Tensor) -> Tensor:
        """(U, 9) in the order of ``KNOWN``: pooled keep logits (U,), the rest of unit and window."""
        return torch.cat([scores[:, None], self.relevance[self.window, None], self.cosines, self.lexical], dim=1)


Reader = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Ids (B, L) and mask (B, L) -> (B, L, H) after the shared layers and of the embedding branch."""


def frozen_reader(network: Network) -> Reader:
    """What is not trained; no gradients."""
    return lambda ids, mask: _frozen(network, ids, mask)


def live_reader(model: SelectiveModel) -> Reader:
    """The model's own layers, with gradients."""

    def read(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        place = model.side.device
        shared = model.encode_windows(ids.to(place), mask.to(place))
        return shared, model.embed(shared, mask.to(place))

    return read


def read_batch(model: SelectiveModel, reader: Reader, batch: TrainingBatch) -> Reading:
    """Run a step's windows; gradients reach the interaction branch, the sides, the heads, and go on into the reader."""
    place = model.side.device
    query_mask = batch.query_mask.to(place)
    queries, query_vectors = reader(batch.query_ids, batch.query_mask)
    embedded = normalize((query_vectors * query_mask[..., None]).sum(1), dim=-1)
    keep, relevance, cosines = [], [], []
    first = 0
    for chunk in batch.chunks:
        mask, question = chunk.mask.to(place), chunk.question.to(place)
        shared, vectors = reader(chunk.ids, chunk.mask)
        logits, rel = model.interact(queries[question], query_mask[question], shared, mask)
        keep.append(logits[chunk.real.to(place)].float())
        relevance.append(rel.float())
        cosines.append(_cosines(vectors, chunk, embedded, first))
        first += cosines[-1].shape[0]
    targets = [torch.cat([getattr(c, n) for c in batch.chunks]).to(place) for n in ("labels", "unit", "relevant")]
    labels, unit, relevant = targets
    return Reading(
        torch.cat(keep),
        labels,
        unit,
        torch.cat(relevance),
        relevant,
        torch.cat(cosines),
        batch.lexical.to(place),
        batch.unit_question.to(place),
        batch.unit_window.to(place),
    )


@dataclass(frozen=True, slots=True)
class Layers:
    """A model, and the ``network`` of those of its layers that read question and text apart.

    The second belongs to the first: two models may divide the same layers in different places (``deepening``).
    """

    model: SelectiveModel
    network: Network

    def interact(self, batch: TrainingBatch) -> Iterator[tuple[Tensor, Tensor]]:
        """Keep logits (B, L) and relevance (B,) of the chunks of a step; gradients reach what interacts."""
        place = self.model.side.device
        query_mask = batch.query_mask.to(place)
        queries, _ = _frozen(self.network, batch.query_ids, batch.query_mask)
        for chunk in batch.chunks:
            mask, question = chunk.mask.to(place), chunk.question.to(place)
            shared, _ = _frozen(self.network, chunk.ids, chunk.mask)
            yield self.model.interact(queries[question], query_mask[question], shared, mask)


def change(now: Layers, before: Layers, batch: TrainingBatch) -> Tensor:
    """Mean squared difference to what was said of a step ``before``: of its keep logits, and of its relevance."""
    with torch.no_grad():
        said = list(before.interact(batch))
    keep, relevance = [], []
    for chunk, (logits, relevant), (old_logits, old_relevant) in zip(
        batch.chunks, now.interact(batch), said, strict=True
    ):
        keep.append((logits - old_logits)[chunk.real.to(logits.device)].float())
        relevance.append((relevant - old_relevant).float())
    return torch.cat(keep).square().mean() + torch.cat(relevance).square().mean()


@torch.no_grad()
def _frozen(network: Network, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """(B, L, H) after the shared layers and of the embedding branch, zeros where there is no token."""
    rows = [np.asarray(r[m]) for r, m in zip(ids, mask, strict=True)]
    shared, vectors = network.read(rows)
    out = []
    for packed in (shared, vectors):
        padded = packed.new_zeros(*ids.shape, packed.shape[-1])
        padded[mask.to(packed.device)] = packed
        out.append(padded)
    return out[0], out[1]


def _cosines(vectors: Tensor, chunk: Chunk, queries: Tensor, first: int) -> Tensor:
    place = vectors.device
    mask, real, question = chunk.mask.to(place), chunk.real.to(place), chunk.question.to(place)
    window = normalize((vectors * mask[..., None]).sum(1), dim=-1)
    row = torch.arange(len(mask), device=place)[:, None].expand(mask.shape)[real]
    local = chunk.unit.to(place) - first
    count = int(local.max()) + 1 if len(local) else 0
    units = normalize(vectors.new_zeros(count, vectors.shape[-1]).index_add(0, local, vectors[real]), dim=-1)
    owner = row.new_zeros(count).scatter(0, local, row)
    query = queries[question][owner]
    parts = ((units * query).sum(-1), (window[owner] * query).sum(-1), (units * window[owner]).sum(-1))
    return torch.stack(parts, dim=1)
