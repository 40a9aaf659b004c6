"""What a causal model predicts of F after a gist and L: teacher and generator read in the same frame.

The frame is ``end + gist + separator + L + F``. The teacher's gist is C itself, and the local window alone is the
empty gist; so a gist equal to C scores exactly as the teacher does, and an empty one gains exactly nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gist_core.training.cotrain.episodes import Episode


@dataclass(frozen=True, slots=True)
class Frame:
    """How texts become the tokens that a causal model reads."""

    tokenizer: Any
    separator: str

    def ids(self, text: str) -> list[int]:
        """Token ids of a text; special tokens written in it are text."""
        found: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return found

    def many(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text."""
        if not texts:
            return []
        found: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)[
            "input_ids"
        ]
        return found

    def starts(self, text: str) -> NDArray[np.int64]:
        """(N,) where in the text each token of ``ids(text)`` begins, the blanks before it left out."""
        found = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
        spans = found["offset_mapping"]
        return np.array([b - len(text[a:b].lstrip()) for a, b in spans], dtype=np.int64)

    @property
    def start(self) -> int:
        """Id of the token that every text begins with."""
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            found = getattr(self.tokenizer, name)
            if found is not None:
                return int(found)
        return 0

    def batch(self, gists: Sequence[str], episodes: Sequence[Episode]) -> FrameBatch:
        """Gist i before episode i: everything before F padded on its left, F on its right."""
        between = self.ids(self.separator)
        before = [
            [self.start, *gist, *between, *local]
            for gist, local in zip(self.many(gists), self.many([e.local for e in episodes]), strict=True)
        ]
        return _padded(before, self.many([e.future for e in episodes]), self.start)


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """``ids``, ``mask`` (B, P + T); ``target``, ``real`` (B, T): the tokens of F, and which of them are no padding."""

    ids: Tensor
    mask: Tensor
    target: Tensor
    real: Tensor

    def to(self, device: torch.device) -> FrameBatch:
        """The same on a device."""
        return FrameBatch(*(t.to(device) for t in (self.ids, self.mask, self.target, self.real)))


def future_log_probs(model: Any, batch: FrameBatch, embedded: Tensor | None = None) -> Tensor:
    """(B, T, V) log-probabilities in float32 of every token that could stand at each place of F.

    ``embedded`` (B, P + T, H), if given, is read in place of the tokens' embeddings.
    """
    positions = (batch.mask.cumsum(dim=1) - 1).clamp(min=0)
    keep = batch.target.shape[1] + 1
    read = {"input_ids": batch.ids} if embedded is None else {"inputs_embeds": embedded}
    logits = model(**read, attention_mask=batch.mask.long(), position_ids=positions, logits_to_keep=keep).logits
    return torch.log_softmax(logits[:, :-1].float(), dim=-1)


def _padded(before: list[list[int]], future: list[list[int]], pad: int) -> FrameBatch:
    width, length = max(map(len, before)), max(map(len, future))
    ids = torch.full((len(before), width + length), pad)
    mask = torch.zeros(ids.shape, dtype=torch.bool)
    for row, (first, last) in enumerate(zip(before, future, strict=True)):
        ids[row, width - len(first) : width + len(last)] = torch.tensor(first + last)
        mask[row, width - len(first) : width + len(last)] = True
    return FrameBatch(ids, mask, ids[:, width:], mask[:, width:])
