"""Writing in the source's own words: which tokens may come next, so that a gist is words of its source in their order.

Behind a whole word may follow any word that stands later in the source, or the end; inside a word, what the source goes
on with. A token can stand at several places, so all of them are followed at once: the subset construction of the
automaton that accepts a text's subsequences (Baeza-Yates 1991), with words for letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import LogitsProcessor

NEVER = -1e9  # in place of minus infinity, so that a probability of 0 times its logarithm is 0


class WordStarts:
    """Which tokens of a vocabulary begin a word: white space comes first in their text.

    Args:
        tokenizer: Gives tokens back as text.
        vocabulary: Number of tokens a model may write, those that the tokenizer does not know among them.
        end: Id of the token that ends a gist.
    """

    def __init__(self, tokenizer: Tokenizer, vocabulary: int, end: int) -> None:
        anchor = tokenizer.encode("a", add_special_tokens=False).ids  # some decoders drop the space of a first token
        first = len(tokenizer.decode(anchor))
        texts = [text[first:] for text in tokenizer.decode_batch([[*anchor, at] for at in range(vocabulary)])]
        self._opens = torch.tensor([text[:1].isspace() for text in texts])
        self._blank = torch.tensor([text.isspace() for text in texts])
        self.vocabulary, self.end = vocabulary, end

    def of(self, ids: Sequence[int]) -> Tensor:
        """(C,) True where a word begins, with the white space before it; always at the first token."""
        row = torch.tensor(list(ids), dtype=torch.long)
        found = self._opens[row]
        found[1:] &= ~self._blank[row[:-1]]  # a blank token belongs to what it stands before
        found[:1] = True
        return found


class Sources:
    """Of B sources, what may be written next. Place 0 is before everything, place i behind the token i - 1.

    Args:
        rows: Token ids of each source, none of them empty.
        starts: Of the vocabulary.
        device: Where the model is.
    """

    def __init__(self, rows: Sequence[Sequence[int]], starts: WordStarts, device: torch.device) -> None:
        width = max(map(len, rows)) + 1
        ids = torch.full((len(rows), width), starts.end)
        begins = torch.zeros(len(rows), width + 1, dtype=torch.bool)
        real = torch.zeros(len(rows), width, dtype=torch.bool)
        for at, row in enumerate(rows):
            ids[at, 1 : len(row) + 1] = torch.tensor(list(row))
            begins[at, 1 : len(row) + 1] = starts.of(row)
            begins[at, len(row) + 1] = True  # behind the last word is the end
            real[at, 1 : len(row) + 1] = True
        self._ids, self._real = ids.to(device), real.to(device)
        self._begins, self._whole = begins[:, :-1].to(device) & self._real, begins[:, 1:].to(device)
        self._vocabulary, self._end = starts.vocabulary, starts.end

    def start(self) -> Tensor:
        """(B, C + 1) bool: where each gist may stand, before anything is written."""
        here = torch.zeros_like(self._real)
        here[:, 0] = True
        return here

    def next(self, here: Tensor) -> Tensor:
        """(B, C + 1) bool: the places to which one token may lead."""
        whole = here & self._whole
        return self._real & (here.roll(1, dims=1) | (self._begins & (whole.cumsum(dim=1) - whole.long() > 0)))

    def tokens(self, here: Tensor) -> Tensor:
        """(B, V) bool: the tokens that may be written, at least one in each row; the end only behind a whole word."""
        found = torch.zeros(len(here), self._vocabulary, dtype=torch.long, device=here.device)
        found = found.scatter_add_(1, self._ids, self.next(here).long()) > 0
        found[:, self._end] = (here & self._whole)[:, 1:].any(dim=1) | ~found.any(dim=1)
        return found

    def step(self, here: Tensor, written: Tensor) -> Tensor:
        """(B, C + 1) bool: where the gists may stand once (B,) tokens were written; nowhere behind the end."""
        return self.next(here) & (self._ids == written[:, None])

    def along(self, gists: Tensor) -> Tensor:
        """(B, T, V) bool: what might have been written in place of each token of (B, T) gists."""
        here, found = self.start(), []
        for at in range(gists.shape[1]):
            found.append(self.tokens(here))
            here = self.step(here, gists[:, at])
        return torch.stack(found, dim=1)


class InOrder(LogitsProcessor):
    """Holds one call of ``generate``, without beams, to the words of its sources."""

    def __init__(self, sources: Sources) -> None:
        self._sources, self._here = sources, sources.start()
        self._begun = False

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """As ``LogitsProcessor``: (B, P + t) ids so far, (B, V) scores of the next."""
        if self._begun:
            self._here = self._sources.step(self._here, input_ids[:, -1])
        self._begun = True
        return scores.masked_fill(~self._sources.tokens(self._here), NEVER)
