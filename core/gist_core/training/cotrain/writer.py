"""The generative policy: a causal LM that reads C and writes the gist, token by token."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import DynamicCache, LogitsProcessorList

from gist_core.generative.framing import percented
from gist_core.generative.verbatim import NEVER, InOrder, Sources, WordStarts
from gist_core.passage import Span, render
from gist_core.training.cotrain.scoring import Frame


@dataclass(frozen=True, slots=True)
class Written:
    """N gists of B contexts: ``texts``, and what was written to the end token.

    ``prompts``, ``read`` (B, P): ids, and True where they are real; ``owners`` (N,) whose prompt each gist stands
    behind; ``gists``, ``real`` (N, T) likewise, with what asks for a gist before it where one prompt has gists of
    several rates; ``of_gist`` (N, T) True where a token is the gist's own or the end behind it; ``allowed`` (N, T, V),
    None where every token was.
    """

    texts: list[str]
    prompts: Tensor
    read: Tensor
    owners: Tensor
    gists: Tensor
    real: Tensor
    of_gist: Tensor
    allowed: Tensor | None = None


class Writer(nn.Module):
    """A causal LM behind the frame ``[begin] + before + C + after``; what it writes ends with the end token.

    The frame is the one in which a checkpoint of it is asked (``generative/framing.py``).

    Args:
        lm: The model; trained in place.
        frame: Its tokenizer.
        before: Text before C, as an instruction to a model that follows any.
        after: Text behind C; special tokens written here are special. ``{percent}`` becomes the rate asked for.
        context_tokens: Tokens of the contexts it is trained on.
        verbatim: It may write nothing but words of C, in their order, and fills the rate (``generative/verbatim.py``).
    """

    def __init__(
        self, lm: Any, frame: Frame, before: str, after: str, context_tokens: int = 512, *, verbatim: bool = False
    ) -> None:
        super().__init__()
        self.lm, self.frame = lm, frame
        self.before, self.after, self.context_tokens, self.verbatim = before, after, context_tokens, verbatim
        begin = frame.tokenizer.bos_token_id
        self._begin = [] if begin is None else [int(begin)]
        self.end: int = frame.tokenizer.eos_token_id

    def prompts(self, contexts: Sequence[str], rates: Sequence[float]) -> list[list[int]]:
        """Token ids of what the model reads before it writes a gist of each rate."""
        return self._prompts(self.frame.many(contexts), rates)

    @torch.no_grad()
    def write(
        self, contexts: Sequence[str], rates: Sequence[float], rooms: Sequence[int], most: int, samples: int = 0
    ) -> Written:
        """Gists of at most ``most`` tokens: so many samples of each context, side by side; a greedy one where 0.

        A verbatim one of context i has ``rooms[i]`` tokens, or as many of them as its words can fill.
        """
        rows = self.frame.many(contexts)
        ids, mask = _left_padded(self._prompts(rows, rates), self.end, self._device)
        owners = torch.arange(len(contexts), device=ids.device).repeat_interleave(max(1, samples))
        was, _ = self.lm.training, self.lm.eval()
        cache, _ = _read(self.lm, ids[:, :-1], mask[:, :-1])
        cache.reorder_cache(owners)
        sources = self._sources((rows[i], rooms[i]) for i in owners.tolist())
        out = self.lm.generate(
            input_ids=ids[owners],
            attention_mask=mask[owners].long(),
            cache=cache,
            max_new_tokens=most,
            do_sample=samples > 0,
            temperature=1.0 if samples else None,
            top_k=0 if samples else None,
            top_p=1.0 if samples else None,
            eos_token_id=self.end,
            pad_token_id=self.end,
            logits_processor=LogitsProcessorList([InOrder(sources)] if sources else []),
        )
        self.lm.train(was)
        new = out[:, ids.shape[1] :]
        before_end = (new == self.end).long().cumsum(dim=1)
        of_gist = (before_end - (new == self.end).long()) == 0  # up to the first end token, with it
        texts = self._texts([row[kept] for row, kept in zip(new, of_gist, strict=True)])
        return Written(texts, ids, mask, owners, new, of_gist, of_gist, _allowed(sources, new))

    def given(
        self, contexts: Sequence[str], kept: Sequence[Sequence[Sequence[Span]]], rates: Sequence[float]
    ) -> Written:
        """Gists that are to be imitated, in the form of what was written: of each context one of each rate.

        ``kept``: of each context, of each rate the spans. Context by context, so that all its gists stand behind it.
        """
        rows = self.frame.many(contexts)
        ids, mask = _left_padded(self._opened(rows), self.end, self._device)
        owners = torch.arange(len(contexts), device=self._device).repeat_interleave(len(rates))
        own = [own for c, row, some in zip(contexts, rows, kept, strict=True) for own in self._own(c, row, some)]
        gists, of_gist = self._ended(own)
        sources = self._sources((rows[i], len(row)) for i, row in zip(owners.tolist(), own, strict=True))
        written = Written(self._texts(own), ids, mask, owners, gists, of_gist, of_gist, _allowed(sources, gists))
        return _asked(written, [self._asking(rate) for rate in rates] * len(contexts))

    def forward(self, written: Written) -> Tensor:
        """(N, T, V) log-probabilities in float32 of every token at each place of the gists."""
        return next_log_probs(self.lm, written)

    def _own(self, context: str, row: Sequence[int], kept: Sequence[Sequence[Span]]) -> list[list[int]]:
        """The ids of a gist of each of the kept; ``row`` are the context's."""
        if self.verbatim:
            return self._copied(context, row, kept)
        return self.frame.many([render(context, spans) for spans in kept])

    def _ended(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """(N, T) ids with the end behind each, and True where they are real."""
        ids = torch.full((len(rows), max(map(len, rows)) + 1), self.end)
        for at, row in enumerate(rows):
            ids[at, : len(row)] = torch.tensor(list(row), dtype=torch.long)
        real = torch.arange(ids.shape[1])[None] <= torch.tensor([len(row) for row in rows])[:, None]
        return ids.to(self._device), real.to(self._device)

    def _copied(self, context: str, row: Sequence[int], kept: Sequence[Sequence[Span]]) -> list[list[int]]:
        """For each of the kept the ids of C less those of words outside; a word that is partly kept is whole."""
        ids, at = np.array(row), self.frame.starts(context)
        word = np.cumsum(self._starts.of(row).numpy())
        return [ids[np.isin(word, word[_inside(at, spans)])].tolist() for spans in kept]

    def _texts(self, rows: Sequence[Any]) -> list[str]:
        texts = self.frame.tokenizer.batch_decode(rows, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return [text.strip() for text in texts]

    def _prompts(self, rows: Sequence[Sequence[int]], rates: Sequence[float]) -> list[list[int]]:
        """As ``prompts``, of contexts' ids."""
        behind = {rate: self._asking(rate) for rate in set(rates)}
        return [[*row, *behind[rate]] for row, rate in zip(self._opened(rows), rates, strict=True)]

    def _opened(self, rows: Sequence[Sequence[int]]) -> list[list[int]]:
        """The ids of contexts behind what stands before them."""
        opening = [*self._begin, *self._control(self.before)]
        return [[*opening, *ids] for ids in rows]

    def _asking(self, rate: float) -> list[int]:
        return self._control(percented(self.after, rate))

    def _control(self, text: str) -> list[int]:
        found: list[int] = self.frame.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def _sources(self, asked: Iterable[tuple[Sequence[int], int]]) -> Sources | None:
        """Of contexts' ids with the tokens that their gists may have."""
        if not self.verbatim:
            return None
        rows, rooms = zip(*asked, strict=True)
        return Sources(rows, rooms, self._starts, self._device)

    @cached_property
    def _starts(self) -> WordStarts:
        return WordStarts(self.frame.tokenizer.backend_tokenizer, self.lm.config.vocab_size, self.end)

    @property
    def _device(self) -> torch.device:
        return next(self.parameters()).device


def _inside(at: NDArray[np.int64], spans: Sequence[Span]) -> NDArray[np.bool_]:
    """(N,) places in a text -> True where one of the spans, which are in the text's order, holds it."""
    if not spans:
        return np.zeros(len(at), dtype=np.bool_)
    near = np.searchsorted([span.start for span in spans], at, side="right") - 1
    found: NDArray[np.bool_] = (near >= 0) & (at < np.array([span.end for span in spans])[near])
    return found


def _allowed(sources: Sources | None, gists: Tensor) -> Tensor | None:
    return None if sources is None else sources.along(gists)


def _asked(written: Written, asking: Sequence[Sequence[int]]) -> Written:
    """The same gists, each behind the ids that ask for it."""
    real, of_gist = (_moved(mask, asking) for mask in (written.real, written.of_gist))
    gists = _moved(written.gists, asking)
    allowed = None if written.allowed is None else _moved(written.allowed, asking)
    for at, row in enumerate(asking):
        gists[at, : len(row)] = torch.tensor(list(row), device=gists.device)
        real[at, : len(row)] = True
        if allowed is not None:
            allowed[at, : len(row)] = True
    return replace(written, gists=gists, real=real, of_gist=of_gist, allowed=allowed)


def _moved(rows: Tensor, before: Sequence[Sequence[int]]) -> Tensor:
    """(N, T, ...) rows with so many zeros before each, and behind the shorter ones."""
    longest = max(map(len, before))
    found = rows.new_zeros(len(rows), rows.shape[1] + longest, *rows.shape[2:])
    for at, own in enumerate(before):
        found[at, len(own) : len(own) + rows.shape[1]] = rows[at]
    return found


def next_log_probs(lm: Any, written: Written) -> Tensor:
    """(N, T, V) log-probabilities of every token at each place of the gists, by any model that reads the same ids.

    Each prompt is read once, however many gists stand behind it.
    """
    cache, last = _read(lm, written.prompts, written.read)
    cache.reorder_cache(written.owners)
    logits = last[written.owners]
    if written.gists.shape[1] > 1:
        first = written.read.sum(dim=1)[written.owners, None]
        rest = lm(
            input_ids=written.gists[:, :-1],
            attention_mask=torch.cat([written.read[written.owners], written.real[:, :-1]], dim=1).long(),
            position_ids=first + torch.arange(written.gists.shape[1] - 1, device=first.device),
            cache=cache,
        ).logits
        logits = torch.cat([logits, rest], dim=1)
    logits = logits.float()
    if written.allowed is not None:
        logits = logits.masked_fill(~written.allowed, NEVER)
    return torch.log_softmax(logits, dim=-1)


def _read(lm: Any, ids: Tensor, mask: Tensor) -> tuple[Any, Tensor]:
    """What a model remembers of (B, P) ids, and the (B, 1, V) logits of what may come next."""
    cache = DynamicCache(config=lm.config)
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    read = {"input_ids": ids, "attention_mask": mask.long(), "position_ids": positions}
    return cache, lm(**read, cache=cache, use_cache=True, logits_to_keep=1).logits


def _left_padded(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad, device=device)
    mask = torch.zeros(ids.shape, dtype=torch.bool, device=device)
    for at, row in enumerate(rows):
        ids[at, width - len(row) :] = torch.tensor(row, device=device)
        mask[at, width - len(row) :] = True
    return ids, mask
