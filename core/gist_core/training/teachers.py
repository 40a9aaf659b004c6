"""What trained checkpoints say of the units of a step, for another one to learn: an ensemble, or a deeper network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from tokenizers import Tokenizer
from torch import Tensor

from gist_core.errors import InvalidInputError
from gist_core.selective.engine import Parts
from gist_core.selective.pooling import pool_logits
from gist_core.training.batches import TrainingBatch
from gist_core.training.cosines import COSINES, cosine_signals
from gist_core.training.mixture import Mixture
from gist_core.training.reading import KNOWN, read_batch

SHARED = 0.8  # of the learner's word pieces, as many at least a teacher has to know: one that ships knows 0.88
_UNUSED = "[unused"  # pieces of BERT's vocabulary that no text comes to


class Teachers:
    """The mean of the teachers' logits; each reads with its own layers, and rates by its own fusion of questions.

    Questions in other languages are read and rated as English is, which is how the one that learns reads them.
    """

    def __init__(self, teachers: Sequence[Parts], tokenizer: Tokenizer, longest: int, device: torch.device) -> None:
        """``tokenizer`` and ``longest`` window, in tokens, are those of the one that learns.

        Raises:
            InvalidInputError: A teacher lacks too many of its word pieces, or cannot read its longest window.
        """
        self._teachers = [_Teacher(parts, tokenizer, longest, device) for parts in teachers]

    @torch.no_grad()
    def __call__(self, batch: TrainingBatch) -> Tensor:
        """(U,) logits of the units of a step."""
        return torch.stack([teacher(batch) for teacher in self._teachers]).mean(dim=0)


class _Teacher:
    def __init__(self, parts: Parts, tokenizer: Tokenizer, longest: int, device: torch.device) -> None:
        if parts.model.config.max_positions < longest:
            raise InvalidInputError(
                f"A teacher reads {parts.model.config.max_positions} tokens at once, windows have up to {longest}.",
                hint="Take a teacher that reads as much as the one that learns.",
            )
        self._piece = _translated(tokenizer, parts.tokenizer)
        self._model = parts.model.to(device).eval()
        self._mixture = Mixture(parts.ratings["query"].fusion, KNOWN + COSINES).to(device)

    def __call__(self, batch: TrainingBatch) -> Tensor:
        chunks = [replace(c, ids=self._piece[c.ids]) for c in batch.chunks]
        own = replace(batch, query_ids=self._piece[batch.query_ids], chunks=chunks)
        read = read_batch(self._model, own)
        scores = pool_logits(read.keep, read.unit, len(read.question))
        signals = torch.cat([read.signals(scores), cosine_signals(self._model, own)], dim=1)
        logits: Tensor = self._mixture(signals.float())
        return logits


def _translated(learner: Tokenizer, teacher: Tokenizer) -> Tensor:
    """(V,) the teacher's number of every piece of the learner's; what it lacks is unknown to it."""
    theirs, unknown = teacher.get_vocab(), teacher.token_to_id("[UNK]")
    pieces = sorted(learner.get_vocab().items(), key=lambda item: item[1])
    used = [piece for piece, _ in pieces if not piece.startswith(_UNUSED)]
    missing = sum(piece not in theirs for piece in used)
    if unknown is None or missing > (1 - SHARED) * len(used):
        raise InvalidInputError(
            f"A teacher lacks {missing:,} of the {len(used):,} word pieces of the one that learns.",
            hint="Take a teacher that comes from an encoder with the same vocabulary.",
        )
    return torch.tensor([theirs.get(piece, unknown) for piece, _ in pieces])
