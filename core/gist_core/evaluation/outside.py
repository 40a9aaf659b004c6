"""Other people's compressors as a TextCompressor: texts go in, texts come out, spans are not told."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from gist_core.budget import Budget
from gist_core.compressor import check_call
from gist_core.errors import InvalidInputError
from gist_core.evaluation.align import align
from gist_core.evaluation.systems.units import ThreadedCompressor
from gist_core.keep import KeepItem
from gist_core.passage import Compressed, Passage, Span, Usage, hash_text, merge_spans
from gist_core.segment import segments
from gist_core.tokens import token_counter
from gist_core.words import words

Shrink = Callable[[Sequence[Passage], str | None, Budget], Sequence[str]]
"""(passages, query, budget) -> what is left of each passage, empty if nothing."""


class OutsideCompressor(ThreadedCompressor):
    """A function from texts to texts as a TextCompressor.

    ``kept`` are the spans of the source that the output holds, in whatever order and however often it holds them, since
    others reorder and repeat sentences; None where a sentence was written anew. Scores are 0, and nothing is held to
    the budget: whoever wraps a compressor says how it is brought there.

    Args:
        name: What results carry as ``model``.
        shrink: The compressor.
    """

    def __init__(self, name: str, shrink: Shrink) -> None:
        self._name = name
        self._shrink = shrink

    @property
    def model_id(self) -> str:
        """The name given."""
        return self._name

    def compress(
        self,
        passages: Sequence[Passage],
        *,
        query: str | None = None,
        budget: Budget,
        keep: Sequence[KeepItem] = (),
        allow_empty: bool = False,
    ) -> list[Compressed]:
        """As ``TextCompressor.compress``.

        Raises:
            InvalidInputError: An argument is unusable; ``keep`` is not known to other compressors.
        """
        del allow_empty  # it may give nothing as it is
        check_call(passages, query, budget, keep)
        if keep:
            raise InvalidInputError(f"{self._name} knows no keep={list(keep)!r}.", hint="Leave it out.")
        start = time.perf_counter()
        texts = self._shrink(passages, query, budget)
        spent = 1000 * (time.perf_counter() - start)
        count = token_counter(budget.tokenizer).count
        return [
            Compressed(
                source_id=passage.id,
                text=text,
                kept=_held(passage.text, text),
                score=0.0,
                usage=Usage(count(passage.text), count(text), spent),
                source_hash=hash_text(passage.text),
                model=self._name,
            )
            for passage, text in zip(passages, texts, strict=True)
        ]


def token_limit(passages: Sequence[Passage], budget: Budget) -> int:
    """Tokens that may remain of the passages, joined.

    Raises:
        InvalidInputError: The budget is a threshold alone, or of each passage by itself.
    """
    if budget.scope != "total" or (budget.tokens is None and budget.ratio is None):
        raise InvalidInputError(f"{budget} cannot be kept by others.", hint="Give tokens= or ratio=, scope='total'.")
    return budget.limit(joined_tokens([p.text for p in passages], budget))


def joined_tokens(texts: Sequence[str], budget: Budget) -> int:
    """Tokens of the non-empty texts joined by the budget's separator."""
    return token_counter(budget.tokenizer).count(budget.separator.join(t for t in texts if t))


def cut_to(texts: Sequence[str], limit: int, budget: Budget) -> list[str]:
    """The texts, in their order, as far as they fit into ``limit`` tokens; the last one ends with a whole word."""
    count = largest(len(texts), lambda n: joined_tokens(texts[:n], budget) <= limit)
    part = [_cut(texts[count], texts[:count], limit, budget)] if count < len(texts) else []
    return [*texts[:count], *part, *[""] * (len(texts) - count - len(part))]


def largest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest number from 1 to ``most`` that fits, by bisection; 0 if none does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _cut(text: str, before: Sequence[str], limit: int, budget: Budget) -> str:
    """The longest beginning that fits behind the texts before it and ends with a whole word; empty if none does."""
    ends = [0, *(word.end for word in words(text))]
    most = largest(len(ends) - 1, lambda n: joined_tokens([*before, text[: ends[n]]], budget) <= limit)
    return text[: ends[most]]


def _held(source: str, text: str) -> tuple[Span, ...] | None:
    """Where the output stands in the source: whole, else each of its sentences by itself, in whatever order."""
    if not text or text in source:
        at = source.find(text)
        return (Span(at, at + len(text)),) if text else ()
    found: list[Span] = []
    for sentence in segments(text):
        part = text[sentence.span.start : sentence.span.end]
        at = source.find(part)
        spans = [Span(at, at + len(part))] if at >= 0 else align(source, part)
        if spans is None:
            return None
        found += spans
    return tuple(merge_spans(found))
