"""What a step's windows look like to the selective model, and to what is read of them before it is mixed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gist_core.selective.model import SelectiveModel
from gist_core.training.batches import TrainingBatch

KNOWN = ("keep", "relevance", "unit_bm25", "window_bm25", "pairs", "length")
"""Of the signals of a call, those that a network learns beside.

Not the cosines: it is to know by itself what they know (core/decisions/0021-from-the-first-layer.md).
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """Flat over the N tokens of a step: ``keep``, ``labels``, ``unit``; over its windows: ``relevance``, ``relevant``;
    over its units: ``lexical`` (U, 4), the numbers of their ``question`` and ``window``.
    """

    keep: Tensor
    labels: Tensor
    unit: Tensor
    relevance: Tensor
    relevant: Tensor
    lexical: Tensor
    question: Tensor
    window: Tensor

    def signals(self, scores: Tensor) -> Tensor:
        """(U, 6) in the order of ``KNOWN``: pooled keep logits (U,), the rest of unit and window."""
        return torch.cat([scores[:, None], self.relevance[self.window, None], self.lexical], dim=1)


def read_batch(model: SelectiveModel, batch: TrainingBatch) -> Reading:
    """Run a step's windows; gradients reach what of the model wants them."""
    place = model.side.device
    keep, relevance = [], []
    for chunk, (logits, relevant) in zip(batch.chunks, interact(model, batch), strict=True):
        keep.append(logits[chunk.real.to(place)].float())
        relevance.append(relevant.float())
    targets = [torch.cat([getattr(c, n) for c in batch.chunks]).to(place) for n in ("labels", "unit", "relevant")]
    labels, unit, relevant = targets
    return Reading(
        torch.cat(keep),
        labels,
        unit,
        torch.cat(relevance),
        relevant,
        batch.lexical.to(place),
        batch.unit_question.to(place),
        batch.unit_window.to(place),
    )


def interact(model: SelectiveModel, batch: TrainingBatch) -> Iterator[tuple[Tensor, Tensor]]:
    """Keep logits (B, L) and relevance (B,) of the chunks of a step."""
    place = model.side.device
    query_mask = batch.query_mask.to(place)
    queries = model.encode_windows(batch.query_ids.to(place), query_mask)
    for chunk in batch.chunks:
        mask, question = chunk.mask.to(place), chunk.question.to(place)
        windows = model.encode_windows(chunk.ids.to(place), mask)
        yield model.interact(queries[question], query_mask[question], windows, mask)


def change(now: SelectiveModel, before: SelectiveModel, batch: TrainingBatch) -> Tensor:
    """Mean squared difference to what was said of a step ``before``: of its keep logits, and of its relevance."""
    with torch.no_grad():
        said = list(interact(before, batch))
    keep, relevance = [], []
    for chunk, (logits, relevant), (old_logits, old_relevant) in zip(
        batch.chunks, interact(now, batch), said, strict=True
    ):
        keep.append((logits - old_logits)[chunk.real.to(logits.device)].float())
        relevance.append((relevant - old_relevant).float())
    return torch.cat(keep).square().mean() + torch.cat(relevance).square().mean()
