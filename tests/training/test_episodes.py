"""Texts cut into C, L and F: whatever the text is, the three stand in it one behind the other."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gist_core.errors import InvalidInputError
from gist_core.training.cotrain import episodes
from gist_core.training.cotrain.episodes import Episode, EpisodeSizes, cut_episodes
from gist_core.training.cotrain.scoring import Frame
from gist_core.training.lm.bpe import GIST
from tests.helpers.tiny_causal import SPEECHES, speech_tokenizer

SMALL = EpisodeSizes(12, 4, 6)
ODD = st.text(st.sampled_from("ab e\u0301\n\t.,'7-\U0001f600\u4e2d\u00a0<|gist>"), max_size=120)
WORDS = st.lists(
    st.sampled_from(["the", "committee", "rises", "5.2", "\u4e2d\u6587", "na\u00efve", GIST, "\n\n", "x"]), max_size=80
).map(" ".join)


def _cut(*texts, sizes=SMALL, seed=3):
    return cut_episodes(texts, speech_tokenizer(), sizes, seed)


def _count(text):
    return len(Frame(speech_tokenizer(), "").ids(text))


def _place(text: str, episode: Episode) -> int:
    """Where L begins, C standing before it with nothing but blanks between."""
    at = text.find(episode.local + episode.future)
    while at >= 0 and not text[:at].rstrip().endswith(episode.context):
        at = text.find(episode.local + episode.future, at + 1)
    return at


@settings(max_examples=150, deadline=None)
@given(st.one_of(WORDS, ODD), st.integers(0, 9))
def test_the_pieces_stand_one_behind_the_other(text, seed):
    for episode in _cut(text, seed=seed):
        assert episode.context
        assert episode.context == episode.context.strip()
        at = _place(text, episode)
        assert at >= 0
        end = len(text[:at].rstrip())
        start = end - len(episode.context)
        assert start == 0 or text[start - 1].isspace()
        assert text[end : end + 1].isspace()


@settings(max_examples=60, deadline=None)
@given(WORDS)
def test_a_text_is_used_up_and_a_short_one_gives_nothing(text):
    found = _cut(text)
    assert len(found) <= _count(text) // SMALL.total
    if _count(text) < SMALL.total:
        assert found == []
    places = sorted(_place(text, e) for e in found)
    assert len(places) == len(found)


def test_sizes_are_those_asked_for():
    text = (SPEECHES / "1961-kennedy.txt").read_text(encoding="utf-8")
    sizes = EpisodeSizes(64, 16, 24)
    found = _cut(text, sizes=sizes)
    assert len(found) >= _count(text) // sizes.total - 1
    for episode in found:
        assert 64 - 16 <= _count(episode.context) <= 64 + 2  # up to a word shorter; cut elsewhere, a word can have more
        assert 16 <= _count(" " + episode.local.strip()) + 2 <= 16 + 20
        assert abs(_count(episode.future) - 24) <= 2


def test_special_tokens_in_a_text_are_measured_as_the_text_they_are():
    [episode] = _cut(f"{GIST} " * 5, sizes=EpisodeSizes(16, 4, 6))
    assert abs(_count(episode.future) - 6) <= 2


def test_the_seed_fixes_order_and_offsets():
    texts = [p.read_text(encoding="utf-8") for p in sorted(SPEECHES.glob("*.txt"))[:2]]
    sizes = EpisodeSizes(128, 16, 32)
    first = _cut(*texts, sizes=sizes, seed=1)
    assert _cut(*texts, sizes=sizes, seed=1) == first
    other = _cut(*texts, sizes=sizes, seed=2)
    assert other != first
    assert {e.context for e in other} != {e.context for e in first}
    assert [_place(texts[0], e) for e in first] != sorted(_place(texts[0], e) for e in first)


def test_how_many_texts_are_tokenised_at_once_changes_nothing(monkeypatch):
    texts = [p.read_text(encoding="utf-8") for p in sorted(SPEECHES.glob("*.txt"))[:3]] + ["", "short"]
    usual = _cut(*texts)
    monkeypatch.setattr(episodes, "_BATCH", 2)
    assert _cut(*texts) == usual


def test_a_text_without_blanks_has_no_word_to_end_at():
    assert _cut("ab" * 200) == []
    assert _cut("", "   ", "short") == []


@pytest.mark.parametrize("name", ["context", "local", "future"])
def test_a_size_of_nothing_is_refused(name):
    with pytest.raises(InvalidInputError, match=name):
        EpisodeSizes(**{name: 0})
