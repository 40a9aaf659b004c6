"""Documents as token ids in windows of one length, nothing padded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

Windows = NDArray[np.int32]
_BATCH = 512


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


def echoed(window: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    """The first half of a window (L,), then pieces of it of 8 to 31 tokens in a random order.

    Looking up what stood there before is all there is to predict in the second half. Prose asks for it so rarely that
    a small model does not find out in a short run; once found here, it serves there.
    """
    half = len(window) // 2
    first = window[:half]
    cuts = np.cumsum(rng.integers(8, 32, size=half // 8 + 1))
    pieces = np.split(first, cuts[cuts < half])
    order = rng.permutation(len(pieces))
    return np.concatenate([first, *(pieces[i] for i in order), window[2 * half :]])
