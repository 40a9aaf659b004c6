"""The cosines of a step's units, as a call has them: what rates by them may teach what is trained without them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from gist_core.selective.model import SelectiveModel
from gist_core.selective.signals import distinct, standardised
from gist_core.training.batches import Chunk, TrainingBatch

COSINES = ("unit_cosine", "window_cosine", "central", "distinct", "unit_cosine_z", "window_cosine_z")


@torch.no_grad()
def cosine_signals(model: SelectiveModel, batch: TrainingBatch) -> Tensor:
    """(U, 6) in the order of ``COSINES``; a question of a step is what a call is."""
    place = model.side.device
    query_mask = batch.query_mask.to(place)
    query_vectors = _embedded(model, batch.query_ids.to(place), query_mask)
    queries = normalize((query_vectors * query_mask[..., None]).sum(1), dim=-1)
    found: list[Tensor] = []
    for chunk in batch.chunks:
        vectors = _embedded(model, chunk.ids.to(place), chunk.mask.to(place))
        found.append(_cosines(vectors, chunk, queries, first=sum(map(len, found))))
    values, question = torch.cat(found).float().cpu().numpy(), batch.unit_question.numpy()
    out = np.empty((len(values), len(COSINES)), dtype=np.float32)
    for number in np.unique(question):
        unit, window, central = values[question == number].T
        derived = distinct(unit, window, central), standardised(unit), standardised(window)
        out[question == number] = np.stack([unit, window, central, *derived], axis=1)
    return torch.from_numpy(out).to(place)


def _embedded(model: SelectiveModel, ids: Tensor, mask: Tensor) -> Tensor:
    """(B, L) ids and mask -> (B, L, H) of the embedding branch."""
    return model.embed(model.encode_windows(ids, mask), mask)


def _cosines(vectors: Tensor, chunk: Chunk, queries: Tensor, first: int) -> Tensor:
    """(U, 3) of query and unit, query and window, unit and window."""
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
