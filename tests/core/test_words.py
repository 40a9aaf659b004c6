from __future__ import annotations

import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gist_core.evaluation.align import align
from gist_core.evaluation.entities import entities, values
from gist_core.evaluation.metrics import fill, is_all_kept, is_altered, share_of_evidence
from gist_core.passage import Span, render
from gist_core.words import terms, words

SOURCE = "The cat sat on the mat. The dog, a big one, ran to the cat! Later the cat sat down."


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Don't pay $5.2!", ["don", "t", "pay", "5", "2"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("Tiếng Việt", ["tiếng", "việt"]),
        ("Kyoto は京都市", ["kyoto", "は京", "京都", "都市"]),
        ("ก", ["ก"]),
        ("สวัสดี", ["สว", "วั", "ัส", "สด", "ดี"]),
        (" \n.", []),
    ],
)
def test_terms_are_words_or_pairs_of_characters_where_there_are_no_spaces(text, found):
    assert terms(text) == found


def test_words_stand_where_they_are_said_to():
    text = "Ab, 12 京都!"
    assert [text[start:end] for start, end in words(text)] == ["Ab", "12", "京", "都"]


@pytest.mark.parametrize(
    ("output", "held"),
    [
        ("The dog, a big one, ran to the cat!", ["The dog, a big one, ran to the cat!"]),
        ("the cat sat down.", ["the cat sat down."]),
        ("cat mat dog", ["cat", "mat", "dog"]),
        ("CAT  sat", ["cat sat"]),
        ("", []),
    ],
)
def test_an_output_is_found_at_its_own_place(output, held):
    found = align(SOURCE, output)
    assert found is not None
    assert [SOURCE[start:end] for start, end in found] == held


def test_what_was_written_anew_stands_nowhere():
    assert align(SOURCE, "An animal rested while another moved about.") is None


def test_words_of_other_origin_and_other_order_do_not_hide_the_rest():
    found = align(SOURCE, "Later, as we know, the cat sat down. mat")
    assert found is not None
    assert SOURCE[found[0].start : found[-1].end] == "Later the cat sat down."


SPOKEN = ["the", "cat", "sat", "on", "a", "mat", "dog", "ran", "5", "京", "都"]


@given(st.lists(st.sampled_from(SPOKEN), max_size=40), st.randoms())
def test_an_output_that_only_leaves_words_out_is_placed_word_by_word(source, rng):
    kept = [word for word in source if rng.random() < 0.5]
    found = align(" ".join(source), " ".join(kept))
    assert found is not None
    text = " ".join(source)
    assert [text[s:e] for span in found for s, e in _inside(text, span)] == kept


def _inside(text: str, span: Span) -> list[Span]:
    return [word for word in words(text) if span.start <= word.start and word.end <= span.end]


def test_sentences_kept_by_spans_are_aligned_to_nearly_the_same_spans():
    rng = random.Random(3)
    vocabulary = [f"word{n}" for n in range(60)] + ["the", "of", "and"] * 20
    sentences = [" ".join(rng.choices(vocabulary, k=rng.randint(4, 15))).capitalize() + "." for _ in range(200)]
    text = " ".join(sentences)
    starts = [sum(len(s) + 1 for s in sentences[:n]) for n in range(200)]
    kept = [Span(starts[n], starts[n] + len(sentences[n])) for n in sorted(rng.sample(range(200), 40))]
    found = align(text, render(text, kept))
    assert found is not None
    assert (share_of_evidence([kept], [found]) or 0) > 0.97
    assert sum(e - s for s, e in found) < 1.03 * sum(e - s for s, e in kept)


def test_a_long_document_is_measured_in_time_that_grows_with_its_length():
    text = "".join(f"Item {n} costs {n * 7 % 1000} dollars, says Ann Lee{n % 90}. " for n in range(4_000))
    output = text[: len(text) // 2]
    start = time.process_time()
    assert align(text, output) is not None
    assert entities(text, output)[1] <= 1  # the cut may tear one value
    assert time.process_time() - start < 10
    assert len(text) > 100_000


def test_values_are_numbers_dates_identifiers_and_names_of_two_words():
    found = values("Ann Lee paid 5.2 kg of HAT017 on 3 May 2021. Bob saw  Ann\u00a0Lee.")
    assert found == {"ann lee", "5.2 kg", "hat017", "3 may 2021"}


def test_values_kept_and_values_invented_are_told_apart():
    source = "Ann Lee paid 120 dollars for HAT017. She had 5.2 kg and 1,250 stamps."
    assert entities(source, source) == (1.0, 0)
    assert entities(source, "") == (0.0, 0)
    assert entities(source, "Ann Lee paid 120 dollars.") == (2 / 5, 0)
    assert entities(source, "ANN  LEE had 52 kg and 250 stamps.")[1] == 2
    assert entities("Nothing to count here.", "Nothing.") == (None, 0)
    assert entities("Nothing to count here.", "It was 1969.")[1] == 1


@pytest.mark.parametrize(
    ("output", "altered"),
    [("later THE dog.", False), ("the dogs", True), ("catsat", True), ("cat 5", True), ("", False)],
)
def test_a_word_that_is_not_in_the_source_alters_it(output, altered):
    assert is_altered(SOURCE, output) is altered


def test_evidence_is_counted_over_all_passages():
    evidence = [[Span(0, 10)], [], [Span(5, 15)]]
    kept = [[Span(0, 9)], [Span(0, 3)], [Span(10, 15)]]
    assert share_of_evidence(evidence, kept) == 14 / 20
    assert is_all_kept(evidence, kept) is False
    assert is_all_kept(evidence, [kept[0], [], [Span(6, 15)]]) is True
    assert share_of_evidence([[]], [[Span(0, 3)]]) is None
    assert is_all_kept([[]], [[Span(0, 3)]]) is None


def test_fill_is_measured_where_there_is_enough_to_fill_with():
    assert fill(tokens_in=100, budget=50, tokens=40) == 0.8
    assert fill(tokens_in=5, budget=8, tokens=5) is None
