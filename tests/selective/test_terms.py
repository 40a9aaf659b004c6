"""Which calls are rated as of another language, and by what words their texts are searched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gist_core import Budget, Passage, load_compressor
from gist_core.loading import DEFAULT
from gist_core.segment import segments
from gist_core.selective.engine import load_parts
from gist_core.selective.signals import prepare
from gist_core.selective.terms import pieces, word_ids, words
from gist_core.selective.windows import tokenize, windows
from gist_core.words import term_places
from tests.helpers.tiny import tiny_tokenizer

ENGLISH = ("When was Napoleon born?", "Napoleon was born in Corsica in 1769. He liked cheese and long walks.")
OTHERS = {
    "zh": ("拿破仑出生在哪里？", "拿破仑于1769年出生在科西嘉岛。他喜欢奶酪。那一年天气很好。他的弟弟养蜜蜂。"),
    "th": ("นโปเลียนเกิดที่ไหน", "นโปเลียนเกิดที่เกาะคอร์ซิกา ในปี 1769 เขาชอบชีส\nปีนั้นอากาศดี\nน้องชายของเขาเลี้ยงผึ้ง"),
    "ru": ("Где родился Наполеон?", "Наполеон родился на Корсике в 1769 году. Он любил сыр. Погода была хорошая."),
    "ar": ("أين ولد نابليون؟", "ولد نابليون في كورسيكا عام 1769. كان يحب الجبن. كان الطقس جميلا في تلك السنة."),
    "vi": (
        "Napoléon sinh ra ở đâu?",
        "Napoléon sinh ra ở Corse năm 1769. Ông thích phô mai. Thời tiết rất đẹp.",
    ),
    "es": ("¿Dónde nació el emperador Napoleón?", "Napoleón nació en Córcega en 1769. Le gustaban los quesos curados."),
}


@pytest.fixture(scope="module")
def parts():
    return load_parts(DEFAULT)


def _mode(parts, query, *texts):
    return prepare(texts, query, parts.tokenizer, parts.model.config).mode


@pytest.mark.parametrize("language", OTHERS)
def test_questions_of_other_languages_are_told_apart(parts, language):
    query, text = OTHERS[language]
    assert _mode(parts, query, text) == "foreign"
    assert _mode(parts, None, text) == "free"
    assert _mode(parts, ENGLISH[0], text) == "query"


def test_names_alone_do_not_make_a_call_foreign(parts):
    assert _mode(parts, *ENGLISH) == "query"
    assert _mode(parts, "Schleiermacher Bonhoeffer Kierkegaard?", ENGLISH[1]) == "query"
    assert _mode(parts, "", ENGLISH[1]) == "free"


@pytest.mark.parametrize("language", OTHERS)
def test_the_sentence_asked_for_is_kept_in_other_languages(language):
    query, text = OTHERS[language]
    end = segments(text)[0].span.end
    text = f"{text[end:].strip()}\n{text[:end]}"  # the answer stands last
    [result] = load_compressor(device="cpu").compress([Passage("a", text)], query=query, budget=Budget(ratio=0.7))
    assert "1769" in result.text


TEXT = st.lists(
    st.sampled_from(["cat", "mat.", "京都は", "市。", "\n", "สวัสดี", "Ünïc", " ", "\ud800", "👍🏽", "5.2", "É."])
)


@given(st.lists(TEXT.map("".join), max_size=4))
def test_every_word_lies_in_the_unit_and_the_window_it_stands_in(texts):
    units = [[s.span for s in segments(text)] for text in texts]
    cut = windows(tokenize(texts, units, tiny_tokenizer()), 8)
    found = words(texts, units, cut)
    read = [n for n, text in enumerate(texts) if (cut.tokens.passage == n).any()]
    assert found.ids.tolist() == [i for n in read for i in word_ids(texts[n]).tolist()]
    assert len(found.ids) == len(found.unit) == len(found.window)
    spans = [(n, span) for n, group in enumerate(units) for span in group]
    places = [(n, at) for n in read for at, _ in term_places(texts[n])]
    for (number, at), unit, window in zip(places, found.unit.tolist(), found.window.tolist(), strict=True):
        owner, span = spans[unit]
        assert owner == number
        assert span.start <= at < span.end
        inside = np.arange(cut.bounds[window], cut.bounds[window + 1])
        before = np.flatnonzero((cut.tokens.passage == number) & (cut.tokens.start <= at))
        assert not len(before) or before[-1] in inside
        assert number in cut.tokens.passage[inside]


def test_inflection_falls_away_and_numbers_stay_apart():
    assert word_ids("Наполеона").tolist() == word_ids("Наполеоном").tolist()
    assert word_ids("20251101").tolist() != word_ids("20251102").tolist()


def test_pieces_are_the_tokens():
    texts = ["The cat sat on the mat.", ""]
    cut = windows(tokenize(texts, [[s.span for s in segments(t)] for t in texts], tiny_tokenizer()), 4)
    found = pieces(cut)
    assert np.array_equal(found.ids, cut.tokens.ids)
    assert np.array_equal(found.unit, cut.tokens.unit)
    assert found.window.tolist() == [w for w in range(len(cut)) for _ in range(cut.bounds[w + 1] - cut.bounds[w])]
