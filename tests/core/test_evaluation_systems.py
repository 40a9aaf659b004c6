from __future__ import annotations

import asyncio
import sys
import time
from importlib.util import find_spec

import numpy as np
import pytest

from gist_core.budget import Budget
from gist_core.compressor import TextCompressor
from gist_core.encoders import DEFAULT_ENCODER
from gist_core.errors import (
    CompressionError,
    CompressionTimeoutError,
    GistError,
    InvalidInputError,
    MissingExtraError,
)
from gist_core.evaluation.systems import SYSTEMS, load_available, load_system
from gist_core.evaluation.systems.lexical import by_centrality, by_words
from gist_core.evaluation.systems.simple import at_random, by_place, by_place_from_the_end
from gist_core.evaluation.systems.units import UnitCompressor
from gist_core.passage import Passage, Span, render
from gist_core.tokens import token_counter
from tests.helpers.lexical import LexicalCompressor

PASSAGES = [
    Passage("a", "The weather was fine. Captain Nemo was born in 1801. He liked the sea and his ship."),
    Passage("b", ""),
    Passage("c", "Ships are large. The sea is wide and deep, and ships cross the sea. Captains command ships at sea."),
]
LIGHT = ["head", "tail", "random sentences", "bm25", "textrank"]
MEANING = ["minilm sentences", "minilm sentences + passages"]
with_minilm = pytest.mark.skipif(
    not (find_spec(DEFAULT_ENCODER) and find_spec("sentence_transformers")), reason="needs all-MiniLM-L6-v2"
)


def _budget(tokens: int) -> Budget:
    return Budget(tokens=tokens, tokenizer="cl100k_base")


@pytest.mark.parametrize("name", [*LIGHT, *(pytest.param(name, marks=with_minilm) for name in MEANING)])
def test_every_system_keeps_spans_within_the_budget_and_answers_at_once_and_later_alike(name):
    system = load_system(name)
    assert isinstance(system, TextCompressor)
    count = token_counter("cl100k_base").count
    for tokens in (8, 20, 1000):
        found = system.compress(PASSAGES, query="When was Nemo born?", budget=_budget(tokens))
        assert [r.source_id for r in found] == ["a", "b", "c"]
        assert all(r.text == render(p.text, r.kept or ()) for p, r in zip(PASSAGES, found, strict=True))
        assert 0 < count("\n\n".join(r.text for r in found if r.text)) <= tokens
        assert {r.model for r in found} == {name} == {system.model_id}
        later = asyncio.run(system.acompress(PASSAGES, query="When was Nemo born?", budget=_budget(tokens)))
        assert [r.kept for r in later] == [r.kept for r in found]
    assert system.compress([], budget=_budget(8)) == []
    assert system.compress(PASSAGES, budget=_budget(20))[0].usage.tokens_in == count(PASSAGES[0].text)


@pytest.mark.parametrize("name", LIGHT)
def test_what_must_stay_stays(name):
    found = load_system(name).compress(PASSAGES, query="sea", budget=_budget(20), keep=[r"Nemo\b"])
    assert "Nemo" in found[0].text


def test_scores_are_as_their_names_say():
    units, owner = ["aa", "b", "cc", "dd"], np.array([0, 0, 2, 2])
    texts = ["aa b", "", "cc dd"]
    assert by_place("", units, texts, owner).tolist() == [0, -2 / 3, 0, -0.5]
    assert by_place_from_the_end("", units, texts, owner).tolist() == [-1 / 3, 0, -0.5, 0]
    assert at_random("x", units, texts, owner).tolist() == at_random("y", units, texts, owner).tolist()
    assert at_random("x", units, texts, owner).tolist() != at_random("x", units, [*texts, "e"], owner).tolist()
    spoken = ["the cat sat on the mat", "the cat ate the fish", "the mat and the fish and the cat", "unlike any"]
    central = by_centrality("", spoken, [], owner)
    assert central.argmax() == 2
    assert central.argmin() == 3


@pytest.mark.parametrize(
    ("query", "units"),
    [
        (
            "When was Nemo born?",
            ["He was old.", "Nemo was born in 1801.", "It rained.", "A ship sank.", "So they left."],
        ),
        ("首都はどこ", ["天気がよい。", "首都は奈良です。", "船が来た。", "海は広い。", "彼は行った。"]),
        ("เมืองหลวงคืออะไร", ["ฝนตก", "เมืองหลวงคือกรุงเทพ", "ฝูงนก", "ทะเลกว้าง", "แมวนอน"]),
        ("राजधानी कहाँ है", ["मौसम अच्छा", "राजधानी दिल्ली", "जहाज़ आया", "समुद्र चौड़ा", "बिल्ली सोई"]),
    ],
)
def test_bm25_finds_the_words_of_the_question_in_any_script(query, units):
    scores = by_words(query, units, [], np.zeros(5, dtype=np.int64))
    assert scores.argmax() == 1
    assert scores[1] > 0
    assert scores[2] == 0


def test_one_question_is_scored_once_whatever_the_budgets():
    asked = []

    def score(query, units, texts, owner):
        asked.append(query)
        return np.arange(len(units), dtype=np.float64)

    system = UnitCompressor("last", score)
    small, large = (system.compress(PASSAGES, query="q", budget=_budget(n)) for n in (15, 30))
    assert asked == ["q"]
    assert set(small[2].kept or ()) <= {Span(*s) for s in large[2].kept or ()} | set(small[2].kept or ())
    system.compress(PASSAGES, budget=_budget(15))
    assert asked == ["q", ""]
    assert [u.score for r in small for u in r.units] == [0, 1, 2, 3, 4, 5]


def test_a_call_that_takes_too_long_is_given_up():
    def slow(query, units, texts, owner):
        time.sleep(0.3)
        return np.zeros(len(units))

    with pytest.raises(CompressionTimeoutError, match=r"0\.01 s"):
        asyncio.run(UnitCompressor("slow", slow).acompress(PASSAGES, budget=_budget(9), timeout=0.01))
    with pytest.raises(InvalidInputError, match="timeout"):
        asyncio.run(UnitCompressor("slow", slow).acompress(PASSAGES, budget=_budget(9), timeout=-1))


def test_every_system_of_the_table_can_be_had_or_says_what_is_missing():
    for name in SYSTEMS.keys() - {*LIGHT, *MEANING}:
        try:
            assert load_system(name).model_id
        except GistError as error:
            assert error.hint, name


def make_lexical() -> LexicalCompressor:
    return LexicalCompressor()


def make_number() -> int:
    return 5


def make_trouble() -> None:
    raise OSError("no disk")


class Forgetful(LexicalCompressor):
    def compress(self, passages, **settings):
        raise MissingExtraError("Its model is gone.", hint="Fetch it.")


def test_anyones_compressor_is_a_system():
    assert isinstance(load_system(f"{__name__}:make_lexical"), LexicalCompressor)


@pytest.mark.parametrize(
    ("name", "kind", "says"),
    [
        ("nonsense", InvalidInputError, "bm25, textrank"),
        ("no.such.module:f", InvalidInputError, "no.such.module"),
        (f"{__name__}:nothing", InvalidInputError, "nothing"),
        (f"{__name__}:make_number", InvalidInputError, "int"),
        (f"{__name__}:make_trouble", CompressionError, "no disk"),
        (f"{__name__}:Forgetful", MissingExtraError, "Fetch it"),
    ],
)
def test_what_is_no_system_is_told_before_anything_is_measured(name, kind, says):
    with pytest.raises(kind, match=says):
        load_system(name)


def test_a_missing_package_leaves_one_system_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "langchain_gist.evaluation", None)
    systems, missing = load_available(["head", "EmbeddingsFilter"])
    assert list(systems) == ["head"]
    assert list(missing) == ["EmbeddingsFilter"]
    assert "pip install" in missing["EmbeddingsFilter"]
