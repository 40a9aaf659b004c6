"""Compressors that are told which share to keep, and miss it, held to a budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from gist_core.budget import Budget
from gist_core.compressor import check_call
from gist_core.errors import InvalidInputError
from gist_core.evaluation.outside import cut_to, joined_tokens, token_limit
from gist_core.evaluation.systems.units import ThreadedCompressor
from gist_core.keep import KeepItem
from gist_core.passage import Compressed, Passage, Usage, hash_text
from gist_core.tokens import token_counter

TRIES = 4
SAFETY = 0.97  # of the rate that should have fitted
LEAST = 0.005  # LLMLingua-2 asks numpy for a percentile above 100 below it
AtRate = Callable[[list[str], float], list[str]]
"""(texts, share of their tokens to keep) -> what is left of each."""


class RateCompressor(ThreadedCompressor):
    """A compressor that is told a rate and misses it, held to a budget: asked again for less, and cut in the end.

    ``kept`` is None and scores are 0: what comes out is text.

    Args:
        name: What results carry as ``model``.
        shrink: The compressor. Blank passages are not handed over and come back empty.
        tries: How often it is asked at the most.
    """

    def __init__(self, name: str, shrink: AtRate, tries: int = TRIES) -> None:
        self._name = name
        self._shrink = shrink
        self._tries = tries

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
        """As ``TextCompressor.compress``; the query is not looked at.

        Raises:
            InvalidInputError: An argument is unusable; there is no ``keep`` here.
        """
        began = time.perf_counter()
        check_call(passages, query, budget, keep)
        if keep:
            raise InvalidInputError(f"{self._name} knows no keep={list(keep)!r}.", hint="Leave it out.")
        texts = self._within(passages, budget)
        spent = 1000 * (time.perf_counter() - began)
        count = token_counter(budget.tokenizer).count
        return [
            Compressed(
                source_id=passage.id,
                text=text,
                kept=None,
                score=0.0,
                usage=Usage(count(passage.text), count(text), spent),
                source_hash=hash_text(passage.text),
                model=self._name,
            )
            for passage, text in zip(passages, texts, strict=True)
        ]

    def _within(self, passages: Sequence[Passage], budget: Budget) -> list[str]:
        limit = token_limit(passages, budget)
        texts = [passage.text for passage in passages]
        rate = 1.0
        for _ in range(self._tries):
            size = joined_tokens(texts, budget)
            if size <= limit:
                return texts
            rate *= limit / size * (1.0 if rate == 1.0 else SAFETY)
            texts = self._at(passages, max(rate, LEAST))
        return cut_to(texts, limit, budget)

    def _at(self, passages: Sequence[Passage], rate: float) -> list[str]:
        places = [n for n, passage in enumerate(passages) if passage.text.strip()]
        found = dict(zip(places, self._shrink([passages[n].text for n in places], rate), strict=True))
        return [found.get(n, "") for n in range(len(passages))]
