"""Writing in the source's own words: which tokens may come next, so that a gist is words of its source in their order.

Behind a whole word may follow any word that stands later in the source; inside a word, what the source goes on with. A
token can stand at several places, so all of them are followed at once: the subset construction of the automaton that
accepts a text's subsequences (Baeza-Yates 1991), with words for letters. The gist fills the room it is given: no word
is begun that does not fit any more, none so far on that the rest of the source could not fill what is left, and the end
comes when no word may.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

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
        alone = tokenizer.decode_batch([[at] for at in range(vocabulary)])
        anchor = next(at for at, text in enumerate(alone) if text.strip().isalnum())
        behind = tokenizer.decode_batch([[anchor, at] for at in range(vocabulary)])  # a first token may lose its space
        texts = [text[len(alone[anchor]) :] for text in behind]
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
        rooms: How many tokens the gist of each may have; what is shorter, the source or the room, is filled.
        starts: Of the vocabulary.
        device: Where the model is.
    """

    def __init__(
        self, rows: Sequence[Sequence[int]], rooms: Sequence[int], starts: WordStarts, device: torch.device
    ) -> None:
        width = max(map(len, rows)) + 1
        ids = torch.full((len(rows), width), starts.end)
        length = torch.zeros(len(rows), width, dtype=torch.long)
        rest = torch.zeros(len(rows), width, dtype=torch.long)
        whole = torch.zeros(len(rows), width, dtype=torch.bool)
        for at, row in enumerate(rows):
            begins = starts.of(row).nonzero().flatten()
            ends = torch.cat([begins[1:], torch.tensor([len(row)])])
            ids[at, 1 : len(row) + 1] = torch.tensor(list(row))
            length[at, begins + 1] = ends - begins
            whole[at, 0] = whole[at, ends] = True
            rest[at, 1 : len(row) + 1] = torch.arange(len(row), 0, -1)
        self._ids, self._length, self._rest, self._whole = (t.to(device) for t in (ids, length, rest, whole))
        self._room = torch.minimum(torch.tensor(rooms, device=device), self._rest[:, 1])
        self._vocabulary, self._end = starts.vocabulary, starts.end

    def start(self) -> SoFar:
        """Before anything is written."""
        here = torch.zeros_like(self._whole)
        here[:, 0] = True
        return SoFar(here, self._room)

    def next(self, so_far: SoFar) -> Tensor:
        """(B, C + 1) bool: the places to which one token may lead."""
        whole, left = so_far.here & self._whole, so_far.left[:, None]
        inside = (so_far.here & ~self._whole).roll(1, dims=1)
        later = whole.cumsum(dim=1) - whole.long() > 0
        return inside | (later & (self._length > 0) & (self._length <= left) & (self._rest >= left))

    def tokens(self, so_far: SoFar) -> Tensor:
        """(B, V) bool: the tokens that may be written, at least one in each row."""
        found = torch.zeros(len(self._ids), self._vocabulary, dtype=torch.long, device=self._ids.device)
        found = found.scatter_add_(1, self._ids, self.next(so_far).long()) > 0
        found[:, self._end] |= ~found.any(dim=1)
        return found

    def step(self, so_far: SoFar, token: Tensor) -> SoFar:
        """Behind the (B,) tokens that come next; nowhere behind the end."""
        return SoFar(self.next(so_far) & (self._ids == token[:, None]), so_far.left - 1)

    def along(self, gists: Tensor) -> Tensor:
        """(B, T, V) bool: what might have been written in place of each token of (B, T) gists."""
        so_far, found = self.start(), []
        for at in range(gists.shape[1]):
            found.append(self.tokens(so_far))
            so_far = self.step(so_far, gists[:, at])
        return torch.stack(found, dim=1)


class SoFar(NamedTuple):
    """``here`` (B, C + 1) bool: where in its source each gist may stand; ``left`` (B,): tokens it may still have."""

    here: Tensor
    left: Tensor


class InOrder(LogitsProcessor):
    """Holds one call of ``generate``, without beams, to the words of its sources."""

    def __init__(self, sources: Sources) -> None:
        self._sources, self._so_far = sources, sources.start()
        self._begun = False

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """As ``LogitsProcessor``: (B, P + t) ids so far, (B, V) scores of the next."""
        if self._begun:
            self._so_far = self._sources.step(self._so_far, input_ids[:, -1])
        self._begun = True
        return scores.masked_fill(~self._sources.tokens(self._so_far), NEVER)
