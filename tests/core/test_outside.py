from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gist_core.budget import Budget
from gist_core.compressor import TextCompressor
from gist_core.errors import CompressionTimeoutError, InvalidInputError
from gist_core.evaluation.outside import OutsideCompressor, cut_to, joined_tokens, largest, token_limit
from gist_core.passage import Passage

BUDGET = Budget(tokens=10, tokenizer="cl100k_base")


@given(st.integers(0, 50), st.integers(0, 60))
def test_largest_finds_the_last_that_fits(most, limit):
    assert largest(most, lambda n: n <= limit) == min(most, limit)


@settings(deadline=None)  # the first count loads the tokenizer
@given(st.lists(st.text("ab .奈\n", max_size=40), max_size=5), st.integers(0, 30))
def test_a_cut_fits_and_is_the_beginning_in_whole_words(texts, limit):
    kept = cut_to(texts, limit, BUDGET)
    assert len(kept) == len(texts)
    assert joined_tokens(kept, BUDGET) <= limit
    for text, part in zip(texts, kept, strict=True):
        assert text.startswith(part)
        whole = part == text or not part or "奈" in (part[-1], text[len(part)]) or not text[len(part)].isalnum()
        assert whole
    if joined_tokens(texts, BUDGET) <= limit:
        assert kept == texts


def test_spans_are_found_in_whatever_order():
    text = "The cat sat. The dog ran. A bird sang."
    system = OutsideCompressor("turned", lambda passages, query, budget: ["A bird sang. The cat sat. A bird sang."])
    assert isinstance(system, TextCompressor)
    [result] = system.compress([Passage("a", text)], budget=BUDGET)
    assert [text[start:end] for start, end in result.kept] == ["The cat sat.", "A bird sang."]
    anew = OutsideCompressor("anew", lambda passages, query, budget: ["Animals did things yesterday."])
    assert anew.compress([Passage("a", text)], budget=BUDGET)[0].kept is None


def test_a_slow_one_times_out():
    system = OutsideCompressor("slow", lambda passages, query, budget: time.sleep(0.3) or [""])
    with pytest.raises(CompressionTimeoutError):
        asyncio.run(system.acompress([Passage("a", "x")], budget=BUDGET, timeout=0.05))


@pytest.mark.parametrize("budget", [Budget(threshold=0.5), Budget(tokens=5, scope="each")])
def test_a_budget_that_others_cannot_keep_is_refused(budget):
    with pytest.raises(InvalidInputError, match="cannot be kept"):
        token_limit([Passage("a", "x")], budget)
