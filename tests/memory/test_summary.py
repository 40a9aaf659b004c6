"""One gist of many turns: its size, what it stands for, and gists gone over again."""

from __future__ import annotations

import random
from copy import deepcopy

from hypothesis import given, settings
from hypothesis import strategies as st

from gist_core.memory import Turn
from gist_core.memory.names import named
from gist_core.memory.summary import Summarizer
from gist_core.tokens import token_counter
from tests.helpers.conversations import WORDS, QuickCompressor, conversations

COUNTER = token_counter("o200k_base")


@settings(max_examples=150, deadline=None)
@given(conversations(), st.integers(40, 400))
def test_never_above_its_tokens_and_stands_for_every_turn(turns, tokens):
    before = deepcopy(turns)
    summary = Summarizer(tokens, QuickCompressor())(turns)
    assert turns == before
    assert (summary.role, summary.content) == ("user", summary.gist.text)
    assert COUNTER.count(summary.content) <= tokens
    assert len(summary.gist.turns) == len(turns)
    labels = tuple(f"{piece.label}: " for piece in summary.gist.pieces)
    assert all(line.startswith(("  ", *labels)) for line in summary.content.splitlines()[1:])


@settings(max_examples=60, deadline=None)
@given(conversations(), conversations())
def test_a_summary_of_a_summary_stands_for_all_and_quotes_once(first, then):
    summarizer = Summarizer(120, QuickCompressor())
    again = summarizer([summarizer(first), *then])
    assert len(again.gist.turns) == len(first) + len(then)
    assert COUNTER.count(again.content) <= 120
    assert again.content.count("[Quotes from") == 1


def test_a_summary_of_a_summary_names_turns_as_the_conversation_does():
    summarizer, said = Summarizer(120, QuickCompressor()), [Turn("user", text) for text in ("One.", "Two.", "Three.")]
    again = summarizer([summarizer(said[:2]), said[2]])
    names = [turn.id for turn in named(said)]
    assert list(again.gist.turns) == [piece.turn for piece in again.gist.pieces] == names


def test_no_size_loses_all_for_a_token_too_many():
    rng = random.Random(0)
    said = [" ".join(rng.choices([*WORDS, "\n\n"], k=rng.randint(1, 12))) for _ in range(60)]
    turns = [Turn("user", text, name=rng.choice([None, "Ann", "Bo"])) for text in said]
    for tokens in range(330, 400, 3):
        assert COUNTER.count(Summarizer(tokens, QuickCompressor())(turns).content) > 0.9 * tokens


def test_patterns_go_first():
    turns = [Turn("user", f"Word number {n} of many. The key is K-{n}.") for n in range(60)]
    text = Summarizer(100, QuickCompressor(), keep=["K-17"])(turns).content
    assert "The key is K-17." in text
