"""Greedy decoding of many prompts at once: ids in, ids out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from transformers import GenerationConfig, LogitsProcessorList

from gist_core.generative.framing import Ids
from gist_core.generative.verbatim import InOrder, Sources, WordStarts

BATCH_TOKENS = 16_384  # padded tokens read and written in one batch


class WriteItem(NamedTuple):
    """A prompt, the most tokens that may be written, and what of the prompt is the passage."""

    prompt: Ids
    limit: int
    source: Ids

    @property
    def size(self) -> int:
        """Tokens read and written."""
        return len(self.prompt) + self.limit


class Draft(NamedTuple):
    """What was written, without the end token; ``finished`` where the model ended it by itself."""

    ids: Ids
    finished: bool


class Writer:
    """Runs the model over prompts of any number of callers, batches of like length padded on the left.

    Padding is masked, and in fp32 rows do not depend on their neighbours but for rounding, which only a near-tie
    between two tokens can show.

    Args:
        model: A causal language model of transformers, in evaluation mode, on its device.
        end: Id of the token that ends an answer; it pads too.
        verbatim: Given for a model that may write nothing but words of its sources, in their order, up to the limit.
    """

    def __init__(self, model: Any, end: int, verbatim: WordStarts | None = None) -> None:
        self._model = model
        self._end = end
        self._verbatim = verbatim
        self._more = 0 if verbatim is None else 1  # who fills the limit with whole words has the end still to say

    @torch.inference_mode()
    def __call__(self, items: Sequence[WriteItem]) -> list[Draft]:
        """The drafts, in the order of the items."""
        drafts: dict[int, Draft] = {}
        for rows in _batches(items):
            drafts.update(zip(rows, self._write([items[r] for r in rows]), strict=True))
        return [drafts[r] for r in range(len(items))]

    def _write(self, items: Sequence[WriteItem]) -> Iterator[Draft]:
        width = max(len(item.prompt) for item in items)
        pads = [width - len(item.prompt) for item in items]
        ids = torch.tensor([[self._end] * pad + list(item.prompt) for pad, item in zip(pads, items, strict=True)])
        mask = torch.arange(width)[None] >= torch.tensor(pads)[:, None]
        build: Any = GenerationConfig
        settings = build(
            max_new_tokens=max(item.limit for item in items) + self._more,
            do_sample=False,
            num_beams=1,
            eos_token_id=self._end,
            pad_token_id=self._end,
        )
        place = self._model.device
        found = self._model.generate(
            ids.to(place),
            attention_mask=mask.long().to(place),
            generation_config=settings,
            logits_processor=LogitsProcessorList(self._rules(items)),
        )
        for item, row in zip(items, found[:, width:].tolist(), strict=True):
            yield self._draft(row[: item.limit + self._more])

    def _rules(self, items: Sequence[WriteItem]) -> list[InOrder]:
        if self._verbatim is None:
            return []
        rows, rooms = [item.source for item in items], [item.limit for item in items]
        return [InOrder(Sources(rows, rooms, self._verbatim, self._model.device))]

    def _draft(self, row: list[int]) -> Draft:
        finished = self._end in row
        return Draft(tuple(row[: row.index(self._end)] if finished else row), finished)


def _batches(items: Sequence[WriteItem]) -> Iterator[list[int]]:
    """Rows of like size, at most ``BATCH_TOKENS`` padded tokens together."""
    batch: list[int] = []
    for row in sorted(range(len(items)), key=lambda r: items[r].size):
        if batch and items[row].size * (len(batch) + 1) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
