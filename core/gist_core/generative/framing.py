"""Between texts and the token ids a language model reads and writes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from math import ceil, log

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from gist_core.allocation.draft import close_gaps
from gist_core.errors import CheckpointError
from gist_core.generative.config import GenerativeConfig
from gist_core.passage import Span, render
from gist_core.segment import segments, words

Ids = tuple[int, ...]
_LONE_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)
# Half characters of a byte-level vocabulary come out as U+FFFD; nobody wants control characters in a prompt.
_GARBLED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffd]")
_GAP = 2  # tokens set aside for the white space between two segments


def percented(text: str, rate: float) -> str:
    """The text with the rate in percent, at least 1, where it says ``{percent}``."""
    return text.replace("{percent}", str(max(1, round(100 * rate))))


class Framing:
    """How passages are put to the model, and how its answer is read. Safe to share between threads.

    Args:
        tokenizer: With an end token; its begin token, if it has one, opens every prompt.
        config: The frame.

    Raises:
        CheckpointError: The tokenizer has no end token.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, config: GenerativeConfig) -> None:
        if tokenizer.eos_token_id is None:
            raise CheckpointError("The tokenizer has no end token.", hint="Save it with its eos_token.")
        begin = [] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]
        control = _copy(tokenizer, special_tokens=True)
        self._plain = _copy(tokenizer, special_tokens=False)
        self._before = (*begin, *control.encode(config.before, add_special_tokens=False).ids)
        self._after = {
            rate: tuple(control.encode(percented(config.after, rate), add_special_tokens=False).ids)
            for rate in config.rates
        }
        self._size = config.context_tokens
        self.end = int(tokenizer.eos_token_id)

    def prompt(self, context: Ids, rate: float) -> Ids:
        """The ids the model is given to read; it is asked for the nearest of the rates it was trained for."""
        nearest = min(self._after, key=lambda known: abs(log(known / rate)))
        return (*self._before, *context, *self._after[nearest])

    def ids(self, text: str) -> Ids:
        """The ids of a text; special tokens and lone surrogates written in it are text."""
        return tuple(self._encode([text])[0])

    def chunks(self, text: str) -> list[Ids]:
        """A text as runs of whole segments, of about equal length, at most ``context_tokens`` each.

        A segment that is longer is cut between its words, and a word that is longer anywhere. White space between
        segments is kept up to a blank line; a longer run is one space or line break. A blank text has no chunks.
        """
        spans = [segment.span for segment in segments(text)]
        sizes = [len(ids) + _GAP for ids in self._encode([text[start:end] for start, end in spans])]
        if sum(sizes) - _GAP * len(sizes) <= self._size:
            whole = self.ids(render(text, close_gaps(text, spans)))
            if len(whole) <= self._size:
                return [whole] if whole else []
        parts, sizes = self._smaller(text, spans, sizes)
        runs = [render(text, close_gaps(text, run)) for run in _runs(parts, sizes, self._size)]
        return [ids[at : at + self._size] for ids in map(self.ids, runs) for at in range(0, len(ids), self._size)]

    def _smaller(self, text: str, spans: Sequence[Span], sizes: Sequence[int]) -> tuple[list[Span], list[int]]:
        """The spans with their sizes, and of one that is longer than a chunk the words."""
        parts: list[Span] = []
        counted: list[int] = []
        for span, size in zip(spans, sizes, strict=True):
            if size - _GAP <= self._size:
                parts.append(span)
                counted.append(size)
                continue
            own = words(text, span)
            befores = [own[0].start, *(word.end for word in own[:-1])]
            spaced = self._encode([text[at : word.end] for at, word in zip(befores, own, strict=True)])
            alone = self._encode([text[word.start : word.end] for word in own])
            parts += own  # a word may open its chunk or stand behind a space: it has room for either
            counted += [max(len(a), len(b)) for a, b in zip(spaced, alone, strict=True)]
        return parts, counted

    def text(self, ids: Sequence[int], *, finished: bool) -> str:
        """What the model wrote, without special tokens; of an answer that was cut off, whole words."""
        text = _GARBLED.sub("", self._plain.decode(list(ids), skip_special_tokens=True)).strip()
        if finished or not text:
            return text
        whole = words(text, Span(0, len(text)))[:-1]
        return text[: whole[-1].end] if whole else ""

    def _encode(self, texts: Iterable[str]) -> list[list[int]]:
        clean = [text if text.isascii() else text.translate(_LONE_SURROGATES) for text in texts]
        return [found.ids for found in self._plain.encode_batch_fast(clean, add_special_tokens=False)]


def _copy(tokenizer: PreTrainedTokenizerFast, *, special_tokens: bool) -> Tokenizer:
    copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    copy.encode_special_tokens = not special_tokens
    return copy


def _runs(spans: Sequence[Span], sizes: Sequence[int], most: int) -> Iterator[list[Span]]:
    """The spans in order, in as few runs as ``most`` tokens allow, none much shorter than the others."""
    enough = ceil(sum(sizes) / max(ceil(sum(sizes) / most), 1))
    run: list[Span] = []
    used = 0
    for span, size in zip(spans, sizes, strict=True):
        if run and (used >= enough or used + size > most):
            yield run
            run, used = [], 0
        run.append(span)
        used += size
    if run:
        yield run
