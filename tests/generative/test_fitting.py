from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gist_core import Budget
from gist_core.generative.fitting import cut_words, settle
from gist_core.generative.guard import Source
from gist_core.generative.shares import share_out
from gist_core.tokens import token_counter

O200K = token_counter("o200k_base")


@pytest.mark.parametrize(
    ("text", "most", "left"),
    [
        ("one two three", 3, "one two three"),
        ("one two three", 2, "one two"),
        ("one two three", 0, ""),
        ("", 0, ""),
        ("今天天气很好", 3, "今天天"),
        ("it costs 5.2 kg", 11, "it costs"),
    ],
)
def test_words_are_cut_from_the_end(text, most, left):
    counter = O200K if text.startswith("one") else token_counter(len)
    assert cut_words(text, most, counter) == left


def test_a_counter_is_asked_a_logarithm_of_times():
    asked = []
    text = "word " * 5_000
    cut = cut_words(text, 777, token_counter(lambda t: asked.append(t) or len(t.split())))
    assert len(cut.split()) == 777
    assert len(asked) < 20


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=80), st.text(max_size=80), st.integers(0, 20))
def test_what_settles_fits_and_is_borne_out(source, more, most):
    text, _ = settle(Source(source), f"{source} {more}", most, O200K)
    assert not text or O200K.count(text) <= most
    assert Source(source).unfounded(text) == []


def test_shares_are_in_proportion_and_pay_for_the_separators():
    texts = ["a" * 60, "", "b" * 30, " \n", "c" * 10]
    shares = share_out(texts, Budget(tokens=54, tokenizer=len), token_counter(len))
    assert shares.most == [30, 0, 15, 0, 5]
    assert shares.limit == 54
    assert share_out(texts, Budget(ratio=1.0, tokenizer=len), token_counter(len)).most == [0] * 5
    assert share_out(texts, Budget(tokens=54, threshold=0.1, tokenizer=len), token_counter(len)).most == [0] * 5
    assert share_out(texts, Budget(tokens=2, tokenizer=len), token_counter(len)).most == [0] * 5


def test_each_passage_has_a_share_of_its_own():
    shares = share_out(["a" * 60, "b" * 9], Budget(tokens=20, scope="each", tokenizer=len), token_counter(len))
    assert shares.most == [20, 0]
    assert shares.limit is None
