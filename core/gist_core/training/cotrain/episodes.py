"""Documents cut into C, L and F: what is compressed, what is seen whole, what is predicted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from gist_core.errors import InvalidInputError
from gist_core.records import Split
from gist_core.training.lm.corpus import read_corpus
from gist_core.training.lm.windows import drawn

_BATCH = 256  # texts that are tokenised at once


@dataclass(frozen=True, slots=True)
class Episode:
    """``context`` is compressed; ``local`` stands between it and ``future``, whose tokens are predicted."""

    context: str
    local: str
    future: str


@dataclass(frozen=True, slots=True)
class EpisodeSizes:
    """Tokens of C, L and F.

    Raises:
        InvalidInputError: One is not positive.
    """

    context: int = 512
    local: int = 64
    future: int = 128

    def __post_init__(self) -> None:
        for name in ("context", "local", "future"):
            if getattr(self, name) < 1:
                raise InvalidInputError(f"{name} is {getattr(self, name)}.", hint="Give 1 or more tokens.")

    @property
    def total(self) -> int:
        """Tokens of a whole episode."""
        return self.context + self.local + self.future


Draw = Callable[[int], Sequence[Episode]]
"""Step number -> its episodes; a pure function, so that a resumed run sees what an uninterrupted one sees."""


def read_episodes(
    source: Path, side: Split, tokenizer: PreTrainedTokenizerBase, sizes: EpisodeSizes, seed: int
) -> list[Episode]:
    """The episodes of one side of a corpus (``read_corpus``), as ``cut_episodes`` orders them.

    Raises:
        InvalidInputError: No document of the side is as long as an episode, or the corpus cannot be read.
    """
    found = cut_episodes([d.text for d in read_corpus(source, side)], tokenizer, sizes, seed)
    if not found:
        raise InvalidInputError(
            f"No document of the {side} side of {str(source)!r} has the {sizes.total} tokens of an episode.",
            hint="Give longer documents, or smaller sizes.",
        )
    return found


def drawer(episodes: Sequence[Episode], batch: int, seed: int) -> Draw:
    """``batch`` episodes a step, in an order of the seed."""
    return lambda step: [episodes[i] for i in drawn(len(episodes), batch, seed, step)]


def cut_episodes(
    texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, sizes: EpisodeSizes, seed: int
) -> list[Episode]:
    """As many episodes as fit into each text one after another, the first at a random offset, in a random order.

    C begins and ends between words, so that a compressor that counts in other tokens sees whole words; it may therefore
    be up to a word shorter than asked. Texts that are too short give none.
    """
    rng = np.random.default_rng(seed)
    found: list[Episode] = []
    for text, spans in _tokenised(texts, tokenizer):
        room = len(spans) - sizes.total
        at = int(rng.integers(0, min(room, sizes.total) + 1)) if room >= 0 else 0
        while at + sizes.total <= len(spans):
            begin, middle, last = (spans[at + n][0] for n in (0, sizes.context, sizes.context + sizes.local))
            found.append(_episode(text, begin, middle, last, spans[at + sizes.total - 1][1]))
            at += sizes.total
    order = rng.permutation(len(found))
    return [found[i] for i in order if found[i].context]


def _tokenised(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Each text with where its tokens begin and end; many are read at once, which uses every core."""
    left = iter(texts)
    while batch := list(islice(left, _BATCH)):
        read = tokenizer(batch, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
        yield from zip(batch, read["offset_mapping"], strict=True)


def _episode(text: str, begin: int, middle: int, last: int, end: int) -> Episode:
    while 0 < begin < middle and not (text[begin].isspace() or text[begin - 1].isspace()):
        begin += 1
    while begin < middle and not (text[middle].isspace() or text[middle - 1].isspace()):
        middle -= 1
    return Episode(text[begin:middle].strip(), text[middle:last], text[last:end])
