"""Texts that no system has seen before: what is remembered from an earlier call must not make a later one look fast."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

from gist_core.errors import InvalidInputError
from gist_core.passage import Passage
from gist_core.segment import segments
from gist_core.tokens import token_counter

PARAGRAPH = 5  # sentences
QUERY_WORDS = 8
LONGEST_SENTENCE = 60  # words; a table or a page without a full stop would make all passages alike


class FreshTexts:
    """Passages of given sizes made of sentences drawn from texts, never the same ones twice.

    In every sentence one word is exchanged for another of the texts: neither a passage nor a window over it nor a
    sentence comes again, and length, words and punctuation stay those of real text.

    Args:
        texts: Where sentences and words come from.
        tokenizer: What tokens are counted in.
        seed: The same seed draws the same passages.

    Raises:
        InvalidInputError: The texts hold no sentence of two words or more.
    """

    def __init__(self, texts: Sequence[str], tokenizer: str = "cl100k_base", seed: int = 13) -> None:
        found = (text[s.span.start : s.span.end].split() for text in texts for s in segments(text))
        self._sentences = [words for words in found if 2 <= len(words) <= LONGEST_SENTENCE]
        if not self._sentences:
            raise InvalidInputError("The texts hold no sentences.", hint="Pass texts of some sentences each.")
        self._words = sorted({word for words in self._sentences for word in words})
        self._count = token_counter(tokenizer).count
        self._random = random.Random(seed)

    def query(self) -> str:
        """A question of words from the texts."""
        return f"What is said about {' '.join(self._random.choices(self._words, k=QUERY_WORDS))}?"

    def of_tokens(self, tokens: int, count: int = 1) -> list[Passage]:
        """``count`` passages of about so many tokens each."""
        return self._passages(tokens, count, lambda words: self._count(f" {' '.join(words)}"))

    def of_words(self, words: int, count: int = 1) -> list[Passage]:
        """``count`` passages of so many words each."""
        return self._passages(words, count, len)

    def _passages(self, size: int, count: int, measure: Callable[[Sequence[str]], int]) -> list[Passage]:
        return [Passage(str(index), self._text(size, measure)) for index in range(count)]

    def _text(self, size: int, measure: Callable[[Sequence[str]], int]) -> str:
        parts: list[str] = []
        while size > 0:
            words = self._sentence()
            long = measure(words)
            if long > size:
                words = words[: max(1, math.floor(len(words) * size / long))]
            parts += [" ".join(words), "\n\n" if len(parts) % (2 * PARAGRAPH) == 2 * PARAGRAPH - 2 else " "]
            size -= min(long, size)
        return "".join(parts[:-1])

    def _sentence(self) -> list[str]:
        words = list(self._random.choice(self._sentences))
        words[self._random.randrange(len(words))] = self._random.choice(self._words)
        return words
