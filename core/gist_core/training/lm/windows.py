"""Documents as token ids in windows of one length, nothing padded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

Windows = NDArray[np.int32]
_BATCH = 512
_ECHO = 64  # tokens of a window that echoes


def pack(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, length: int) -> Windows:
    """(W, length) token ids: the texts one after another, each behind an end token; the last part window is dropped.

    Special tokens written in a text are text (``split_special_tokens``).
    """
    end = [tokenizer.eos_token_id]
    parts: list[NDArray[np.int32]] = []
    for at in range(0, len(texts), _BATCH):
        batch = tokenizer(list(texts[at : at + _BATCH]), add_special_tokens=False, split_special_tokens=True)
        parts += [np.asarray(end + ids, dtype=np.int32) for ids in batch["input_ids"]]
    stream = np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)
    return stream[: len(stream) // length * length].reshape(-1, length)


def drawn(count: int, size: int, seed: int, step: int) -> NDArray[np.int64]:
    """Which ``size`` of ``count`` windows a step sees: a new shuffled order each time all were seen."""
    first = step * size
    found: list[NDArray[np.int64]] = []
    while size > 0:
        epoch, at = divmod(first, count)
        order = np.random.default_rng([seed, epoch]).permutation(count)[at : at + size]
        found.append(order)
        first, size = first + len(order), size - len(order)
    return np.concatenate(found)


def echoes(rows: Windows, rng: np.random.Generator) -> Windows:
    """(W, L) windows cut into short ones, of each the first half and then pieces of it in a random order.

    Looking up what stood there before is all there is to predict in a second half. Prose asks for that so rarely, and
    over distances so long, that a small model does not find out in a short run; what is found here serves there.
    """
    length = min(_ECHO, rows.shape[1])
    return np.stack([_echoed(row, rng) for row in rows[:, : rows.shape[1] // length * length].reshape(-1, length)])


def _echoed(window: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    half = len(window) // 2
    first = window[:half]
    cuts = np.cumsum(rng.integers(8, 24, size=half // 8 + 1))
    pieces = np.split(first, cuts[cuts < half])
    order = rng.permutation(len(pieces))
    return np.concatenate([first, *(pieces[i] for i in order), window[2 * half :]])
