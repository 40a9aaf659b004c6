"""A gist as it was written -> one that fits and is true to its source. Pure; every size is counted, never summed."""

from __future__ import annotations

from gist_core.generative.guard import Guarded, Source, guard
from gist_core.passage import Span
from gist_core.segment import words
from gist_core.tokens import TokenCounter

_ROUNDS = 4  # a shorter gist can show a value that the longer one did not, and the other way round


def cut_words(text: str, most: int, counter: TokenCounter) -> str:
    """The beginning of a text, by whole words (characters in scripts without spaces), in at most ``most`` tokens.

    As long as a binary search finds it: the longest where counts grow with the text. Empty where no word fits.
    """
    if counter.count(text) <= most:
        return text
    ends = [span.end for span in words(text, Span(0, len(text)))]
    fitting, least_over = 0, len(ends) + 1
    while least_over - fitting > 1:
        middle = (fitting + least_over) // 2
        if counter.count(text[: ends[middle - 1]]) <= most:
            fitting = middle
        else:
            least_over = middle
    return text[: ends[fitting - 1]] if fitting else ""


def settle(source: Source, gist: str, most: int, counter: TokenCounter) -> Guarded:
    """Guard a gist and cut it to ``most`` tokens; empty where nothing trustworthy is left.

    Args:
        source: The passage.
        gist: What was written of it.
        most: Tokens of the result, as ``counter`` counts them.
        counter: Counts in the budget's tokenizer.
    """
    text, cut = guard(source, gist)
    for _ in range(_ROUNDS):
        shorter = cut_words(text, most, counter)
        text, more = guard(source, shorter)
        cut += more
        if text == shorter:
            return Guarded(text, cut)
    return Guarded("", cut)
