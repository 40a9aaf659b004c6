"""Sentences that name another passage by its title, and what they do for it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gist_core import Budget, Passage, load_compressor
from gist_core.segment import segments
from gist_core.selective.bridges import LENT, with_bridges

FILM = "The Long Road is a film. It was made by Ann Berg in 1950."
ANN = "Ann Berg was a Swedish painter. She lived in Lund."


def _rated(texts: list[str], titles: list[str], *logits: float) -> list[float]:
    found = [segments(text) for text in texts]
    assert sum(map(len, found)) == len(logits)
    return with_bridges(texts, titles, found, np.array(logits, dtype=np.float32)).tolist()


@pytest.mark.parametrize(
    ("titles", "given", "wanted"),
    [
        (["The Long Road", "Ann Berg"], (0, 4, -1, -2), (0, 4, 4 - LENT, -2)),
        (["The Long Road", "Ann Berg (painter)"], (0, 4, -2, -1), (0, 4, -2, 4 - LENT)),
        (["The Long Road", "Ann Berg"], (0, 4, 5, -2), (0, 4, 5, -2)),  # nothing is ever lowered
        (["The Long Road", "Ann Bergman"], (0, 4, -1, -2), (0, 4, -1, -2)),
        (["The Long Road", "ann berg"], (0, 4, -1, -2), (0, 4, -1, -2)),
        (["The Long Road", ""], (0, 4, -1, -2), (0, 4, -1, -2)),
        (["Ann Berg", "Ann Berg"], (0, 4, -1, -2), (0, 4, -1, -2)),  # a page of its own
    ],
)
def test_what_is_named_is_worth_nearly_as_much(titles, given, wanted):
    assert _rated([FILM, ANN], titles, *given) == pytest.approx(wanted)


def test_of_passages_that_share_a_title_one_sentence_is_lent_to():
    texts, titles = [FILM, ANN, ANN], ["The Long Road", "Ann Berg", "Ann Berg"]
    assert _rated(texts, titles, 0, 4, -1, -2, 0, -2) == pytest.approx((0, 4, -1, -2, 4 - LENT, -2))


def test_a_heading_is_lent_nothing_what_it_heads_is():
    texts = [FILM, f"# Life\n\n{ANN}"]
    assert _rated(texts, ["The Long Road", "Ann Berg"], 0, 4, 2, -1, -2) == pytest.approx((0, 4, 2, 4 - LENT, -2))
    assert _rated([FILM, "# Life"], ["The Long Road", "Ann Berg"], 0, 4, 2) == pytest.approx((0, 4, 2))


def test_thousands_of_titles_that_begin_alike():
    texts = [f"Topic {i} is as long as Topic {i + 1}." for i in range(3_000)]
    titles = [f"Topic {i}" for i in range(3_000)]
    logits = [9.0, *[0.0] * 2_999]
    assert _rated(texts, titles, *logits) == pytest.approx([9.0, 9.0 - LENT, *[0.0] * 2_998])


def test_part_of_a_longer_name_is_not_the_name():
    texts = ["Ann Bergman sang. Bob sang.", ANN]
    assert _rated(texts, ["Songs", "Ann Berg"], 3, 0, -1, -2) == pytest.approx((3, 0, -1, -2))


TITLES = st.sampled_from(["", "A", "Ann Berg", "(x)", "...", "Bob (b)", "東京", "a b c"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=60), TITLES), max_size=4), st.integers(0, 9))
def test_any_texts_and_titles(passages, seed):
    texts, titles = [text + title for text, title in passages], [title for _, title in passages]
    found = [segments(text) for text in texts]
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, sum(map(len, found))).astype(np.float32)
    lent = with_bridges(texts, titles, found, logits)
    assert (lent >= logits).all()
    assert (lent != logits).sum() <= len(set(titles))
    assert not len(lent) or lent.max() == logits.max()


def test_the_second_hop_is_kept():
    texts = {
        "The Long Road": "The Long Road is a film that Ann Berg made in 1950.",
        "Elbe": "The Elbe is a long river. Long roads follow it. Films of 1950 show its banks.",
        "Ann Berg": "Ann Berg was a Swedish painter.",
    }
    query, budget = "In which year did the maker of The Long Road die?", Budget(tokens=32)
    compressor = load_compressor(device="cpu")

    def kept(titled):
        passages = [Passage(id=n, text=t, metadata={"title": n} if titled else {}) for n, t in texts.items()]
        return [result.text for result in compressor.compress(passages, query=query, budget=budget)]

    assert kept(titled=True)[2] == texts["Ann Berg"]
    assert kept(titled=False)[2] == ""
