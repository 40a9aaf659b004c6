"""The query's trigrams in texts: what they are, where they stand, what they say of units and words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gist_core import Budget, Passage, load_compressor
from gist_core.passage import Span
from gist_core.segment import segments
from gist_core.selective import grams as module
from gist_core.selective.grams import REACH, gram_hits, gram_overlap, grams, nearness
from gist_core.words import words

SPACED = ["Haus", "tür", "a", "of", "1769", "İstanbul", "हिन्दी", "'s", "-", " ", "\n", "👍🏽", "\ud800", "é."]
UNSPACED = ["京都", "市", "。", "สวัสดี"]
TEXT = st.lists(st.sampled_from(SPACED + UNSPACED)).map("".join)


def _spell(text: str) -> list[str]:
    """The grams of a text as a reader would list them, of words that are cut at scripts' edges too."""
    found = []
    for span in words(text):
        word = text[span.start : span.end].lower()
        found += [word[i : i + 3] for i in range(max(1, len(word) - 2))]
    return found


def _units(text: str) -> list[Span]:
    return [s.span for s in segments(text)]


def _owners(texts: list[str]) -> np.ndarray:
    return np.repeat(np.arange(len(texts)), [len(_units(t)) for t in texts])


@pytest.mark.parametrize(
    ("one", "same"),
    [("Häuser", "HÄUSER"), ("cat dog", "cat, dog!"), ("in 1769", "in (1769)"), ("京都 市", "京都。市"), ("", "... ?!")],
)
def test_case_and_what_is_between_words_do_not_count(one, same):
    assert grams(one)[0].tolist() == grams(same)[0].tolist()


@given(st.lists(st.sampled_from(["Haus", "tür", "a", "of", "1769", "हिन्दी"])).map(" ".join))
def test_words_fall_into_trigrams(text):
    ids, places = grams(text)
    expected = _spell(text)
    assert len(ids) == len(expected)
    assert [text[p : p + len(g)].lower() for p, g in zip(places.tolist(), expected, strict=True)] == expected
    same = np.equal.outer(ids, ids)
    assert np.array_equal(same, np.array([[a == b for b in expected] for a in expected]).reshape(same.shape))


def test_scripts_without_spaces_fall_into_pairs_and_characters():
    ids, places = grams("東京都は。京")
    assert places.tolist() == [0, 0, 1, 1, 2, 2, 3, 5]
    assert grams("京")[0].tolist() == [ids[3]] == [ids[-1]]
    assert grams("京都")[0].tolist() == [ids[2], ids[3], ids[5]]
    assert len(set(ids.tolist())) == 7


@given(TEXT, st.lists(TEXT, max_size=3), st.integers(1, 9))
def test_hits_are_where_the_grams_stand_whatever_is_read_at_a_time(query, texts, size):
    units = [_units(text) for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", size)
        found = gram_hits(query, texts, units)
    asked = sorted(set(grams(query)[0].tolist()))
    spans = [(n, span) for n, group in enumerate(units) for span in group]
    expected = [
        (asked.index(gram), n, place)
        for n, text in enumerate(texts)
        for gram, place in zip(*(column.tolist() for column in grams(text)), strict=True)
        if gram in asked
    ]
    assert list(zip(found.gram.tolist(), found.passage.tolist(), found.place.tolist(), strict=True)) == expected
    for unit, passage, place in zip(found.unit.tolist(), found.passage.tolist(), found.place.tolist(), strict=True):
        assert spans[unit][0] == passage
        assert spans[unit][1].start <= place < spans[unit][1].end
    counted = [len(grams(text)[0]) if asked else 0 for text in texts]
    assert found.passage_length.tolist() == counted
    assert found.unit_length.sum() == sum(counted)


def test_an_inflected_word_is_found_where_it_stands_and_beside_it():
    texts = ["Das Wetter war gut. Die Häusern gehörten ihm. Er schlief. Es war spät.", "Nichts davon."]
    found = gram_overlap(gram_hits("Wem gehören die Häuser?", texts, [_units(t) for t in texts]), _owners(texts))
    assert found.unit.argmax() == 1
    assert found.near[[0, 2]].min() > found.near[[1, 3, 4]].max()
    assert found.passage[0] > found.passage[1]
    for values in (found.unit, found.passage):
        assert values.min() >= 0
        assert values.max() <= 1 + 1e-6


def test_what_stands_beside_a_unit_is_of_its_own_passage():
    texts = ["Er kam.", "Häuser."]
    found = gram_overlap(gram_hits("Häuser", texts, [_units(t) for t in texts]), _owners(texts))
    assert found.unit[1] > 0
    assert found.near.tolist() == [0, 0]


@pytest.mark.parametrize(("query", "texts"), [("", ["Ein Text."]), ("?!", ["Ein Text."]), ("Wo?", []), ("Wo?", [""])])
def test_nothing_asked_and_nothing_to_read_are_nothing_found(query, texts):
    units = [_units(t) for t in texts]
    hits = gram_hits(query, texts, units)
    assert len(hits.gram) == 0
    assert gram_overlap(hits, _owners(texts)).unit.tolist() == [0.0] * sum(map(len, units))


@given(st.lists(st.sampled_from(["Häuser ", "gehört ", "weit ", "x" * 70 + " "]), min_size=1, max_size=30).map("".join))
def test_nearness_falls_with_the_distance_to_what_was_asked(text):
    span = Span(0, len(text))
    hits = gram_hits("Häuser gehören", [text], [[span]])
    places = np.array([w.start for w in words(text)])
    sums = [
        sum(hits.rarity[g] * max(0.0, 1 - abs(x - at) / REACH) for g, at in zip(hits.gram, hits.place, strict=True))
        for x in places
    ]
    found = nearness(hits, 0, span, places)
    assert found == pytest.approx(np.array(sums) / max(*sums, 1e-6, 0.0), abs=1e-4)


def test_of_a_long_foreign_sentence_the_part_near_the_question_s_words_is_kept():
    far = "и дальше тянулись поля с высокой травой и редкими деревьями у самой дороги "
    text = f"Утром {far * 6}где император Наполеон родился на Корсике в бедной семье {far * 6}до вечера."
    budget = Budget(tokens=40)
    [found] = load_compressor(device="cpu").compress([Passage("a", text)], query="Где родился Наполеон?", budget=budget)
    assert "Корсике" in found.text
