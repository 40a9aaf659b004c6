"""What a passage's title changes, and what it must not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gist_core import Budget, Passage, load_compressor, render
from gist_core.loading import DEFAULT
from gist_core.metadata import title_of, understood
from gist_core.segment import segments
from gist_core.selective.engine import load_parts
from gist_core.selective.lexical import overlap
from gist_core.selective.signals import TITLE_TOKENS, prepare
from gist_core.selective.terms import NO_UNIT, pieces, word_ids, words
from gist_core.selective.windows import collate, read_titles, tokenize, windows
from gist_core.tokens import token_counter
from tests.helpers.stories import SONG_QUESTION, SONGS
from tests.helpers.tiny import tiny_tokenizer


@pytest.fixture(scope="module")
def default():
    return load_compressor(device="cpu")


@pytest.fixture(scope="module")
def parts():
    return load_parts(DEFAULT)


def _titled(*titles):
    return [Passage(str(n), text, {"title": title}) for n, (text, title) in enumerate(zip(SONGS, titles, strict=True))]


TOLD_BY_TITLE = [  # (question, two texts that both could answer it, the title that is asked for, the other)
    (SONG_QUESTION, SONGS, "Autumn Harbour", "Winter Mountain"),
    (
        SONG_QUESTION,
        (
            "It was written by John in the spring. The record sold well.",
            "It was written by Mary in a barn. Critics liked it.",
        ),
        "Autumn Harbour",
        "Winter Mountain",
    ),
    (
        "When did the Kestrel bridge open?",
        (
            "The bridge opened in 1911. It carries two lanes.",
            "It was opened by the mayor in 1954. The tolls ended later.",
        ),
        "Kestrel Bridge",
        "Marlow Bridge",
    ),
    (
        "What is the refund period for the Basic plan?",
        (
            "Refunds are possible within 14 days. Write to support.",
            "You may ask for a refund within 30 days. A form is needed.",
        ),
        "Basic plan",
        "Pro plan",
    ),
    (
        "Where was Maria Lenz born?",
        (
            "She was born in Graz and studied law. Her father was a judge.",
            "She was born in Bremen. She moved to Paris at six.",
        ),
        "Maria Lenz",
        "Anna Kohl",
    ),
    (
        "What does the error E42 mean?",
        ("The pump has no water. Fill the tank and restart.", "The filter is blocked. Clean it with a brush."),
        "Error E42",
        "Error E17",
    ),
    (
        "Who founded Nordwind AG?",
        (
            "The company was founded by two brothers in a garage. It makes turbines.",
            "A chemist founded the firm in 1970. It sells paint.",
        ),
        "Nordwind AG",
        "Farbhaus GmbH",
    ),
    (
        "How many goals did Silva score in 2019?",
        (
            "He scored 21 goals that year. The club came third.",
            "He scored 9 goals. An injury ended his season in May.",
        ),
        "Silva, season 2019",
        "Costa, season 2019",
    ),
]


def _scores(default, question, texts, titles):
    passages = [Passage(str(n), t, {"title": title}) for n, (t, title) in enumerate(zip(texts, titles, strict=True))]
    return [r.score for r in default.compress(passages, query=question, budget=Budget(tokens=12))]


@pytest.mark.parametrize(
    ("question", "texts", "asked", "other"), TOLD_BY_TITLE, ids=[c[1][0][:30] for c in TOLD_BY_TITLE]
)
def test_a_title_that_the_question_names_lifts_its_passage(default, question, texts, asked, other):
    first, second = _scores(default, question, texts, [asked, other])
    first_without, second_without = _scores(default, question, texts, [other, asked])
    assert first > first_without
    assert second_without > second


def test_what_only_titles_tell_is_found_but_once(default):
    found = 0
    for question, texts, asked, other in TOLD_BY_TITLE:
        first, second = _scores(default, question, texts, [asked, other])
        first_without, second_without = _scores(default, question, texts, [other, asked])
        found += (first > second) + (second_without > first_without)
    assert found >= 2 * len(TOLD_BY_TITLE) - 1


def test_a_title_is_neither_counted_nor_returned(default):
    passages = _titled("Autumn Harbour " * 50, "Autumn Harbour")
    results = default.compress(passages, query=SONG_QUESTION, budget=Budget(tokens=24))
    counter = token_counter("o200k_base")
    for passage, result in zip(passages, results, strict=True):
        assert result.text == render(passage.text, result.kept)
        assert "Autumn" not in result.text
        assert result.usage.tokens_in == counter.count(passage.text)
    assert counter.count("\n\n".join(r.text for r in results if r.text)) <= 24


def test_without_a_question_a_title_changes_nothing(default):
    with_titles = default.compress(_titled("Autumn Harbour", ""), budget=Budget(ratio=0.5))
    without = default.compress(_titled("", ""), budget=Budget(ratio=0.5))
    assert [(r.text, r.score, r.units) for r in with_titles] == [(r.text, r.score, r.units) for r in without]


def test_a_title_that_all_passages_have_changes_nothing(default):
    calls = [_titled("Autumn Harbour", "Autumn Harbour"), _titled("", "")]
    same, none = (default.compress(call, query=SONG_QUESTION, budget=Budget(tokens=10)) for call in calls)
    assert [(r.text, r.units) for r in same] == [(r.text, r.units) for r in none]


def test_windows_that_are_remembered_are_told_apart_by_their_titles(default):
    calls = [_titled("Autumn Harbour", ""), _titled("", ""), _titled("Autumn Harbour", "")]
    first, second, again = (default.compress(call, query=SONG_QUESTION, budget=Budget(tokens=10)) for call in calls)
    assert [r.units for r in first] == [r.units for r in again] != [r.units for r in second]


@pytest.mark.parametrize(
    ("metadata", "title"),
    [
        ({}, ""),
        ({"title": None}, ""),
        ({"title": 7, "Title": "Seven"}, "Seven"),
        ({"title": " A_long\n name "}, "A long name"),
        ({"title": " ", "Title": "", "document_title": "Third"}, "Third"),
        ({"document_title": "From an extractor", "file_name": "a.txt"}, "From an extractor"),
    ],
)
def test_titles_stand_where_loaders_put_them(metadata, title):
    assert title_of(metadata) == title


def test_of_a_framework_s_metadata_only_spans_and_title_are_understood():
    assert understood({"keep": [[0, 3]], "Title": "T", "source": "s"}) == {"keep": [[0, 3]], "title": "T"}
    assert understood({"keep": "yes", "title": ["T"]}) == {}


def test_a_title_stands_in_front_of_every_window_and_belongs_to_no_unit(parts):
    text = "The cat sat on the mat. " * 120
    made = prepare([text, "A dog barked."], SONG_QUESTION, parts.tokenizer, parts.model.config, ["Autumn Harbour", ""])
    title = parts.tokenizer.encode("Autumn Harbour", add_special_tokens=False).ids
    *titled, bare = made.items
    assert len(titled) > 1
    assert bare.ids[1 : len(title) + 1].tolist() != title
    for item in titled:
        assert item.ids[1 : len(title) + 1].tolist() == title
        assert (item.piece[: len(title) + 2] == -1).all()
        assert len(item.piece) == len(item.ids)


@pytest.mark.parametrize(("window", "read"), [(256, TITLE_TOKENS), (500, 9), (510, 0)])
def test_a_title_is_cut_so_that_a_window_fits_the_network(parts, window, read):
    config = replace(parts.model.config, window_tokens=window)
    made = prepare(["word " * 3000, "A dog."], SONG_QUESTION, parts.tokenizer, config, ["title " * 3000, ""])
    title = parts.tokenizer.token_to_id("title")
    assert {int((item.ids == title).sum()) for item in made.items[:-1]} == {read}
    assert max(len(item.ids) for item in made.items) <= config.max_positions


def test_short_passages_share_a_window_only_with_the_same_title():
    texts = ["The cat sat.", "A dog barked.", "He liked cheese.", "Bread cost much."]
    titles = ["Pets", "Pets", "", "Food"]
    cut = _cut(texts, titles)
    owners = [set(cut.tokens.passage[a:b].tolist()) for a, b in zip(cut.bounds, cut.bounds[1:], strict=False)]
    assert owners == [{0, 1}, {2}, {3}]
    assert [cut.titles.texts[cut.title(row)] for row in range(3)] == ["Pets", "", "Food"]


def test_windows_of_different_titles_are_padded_together():
    cut = _cut(["The cat sat.", "A dog barked."], ["Napoleon cheese", ""])
    batch = collate(cut, [0, 1], 2, 3, 0)
    for row, (low, high) in enumerate(zip(cut.bounds, cut.bounds[1:], strict=False)):
        assert batch.at[row][batch.at[row] >= 0].tolist() == list(range(low, high))
        assert batch.ids[row][batch.mask[row]].tolist() == collate(cut, [row], 2, 3, 0).ids[0].tolist()


@pytest.mark.parametrize("language", ["pieces", "words"])
def test_a_title_s_words_count_for_its_windows_and_for_no_unit(language):
    texts = ["The cat sat on the mat.", "A dog barked."]
    cut = _cut(texts, ["Napoleon", "Pets"])
    tokenizer = tiny_tokenizer()
    asked = {
        "pieces": np.array(tokenizer.encode("napoleon", add_special_tokens=False).ids),
        "words": word_ids("Napoleon"),
    }
    units = [[s.span for s in segments(t)] for t in texts]
    said = pieces(cut) if language == "pieces" else words(texts, units, cut)
    assert (said.unit == NO_UNIT).sum() > 0
    found = overlap(asked[language], said.ids, said.unit, said.window, 2, len(cut))
    assert found.unit.tolist() == [0.0, 0.0]
    assert found.pairs.tolist() == [0.0, 0.0]
    assert found.window[0] > found.window[1] == 0


def _cut(texts, titles):
    tokenizer = tiny_tokenizer()
    units = [[s.span for s in segments(t)] for t in texts]
    return windows(tokenize(texts, units, tokenizer), 60, read_titles(titles, tokenizer, 8))
