from __future__ import annotations

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gist_core.facts import FactKind, value_texts
from gist_core.generative import guard as module
from gist_core.generative.guard import Source, guard
from gist_core.passage import Span
from gist_core.segment import words

SOURCE = (
    "Napoleon was born in Corsica on 15 August 1769. Bread cost 5.2 francs in Paris, 1,200 people paid. "
    "Mail ann.lee@example.com about order HAT017 before 3 May 2024, said Dr. Ann Lee of the Royal Society."
)
PIECES = [
    *SOURCE.split(),
    "在2024年5月3日去北京",
    "Ünal",
    "x-17",
    "(415)",
    "555-1234",
    "$45.50",
    "\n",
    "1.",
    "№5",
    "٣٤",
]
texts = st.lists(st.sampled_from(PIECES), max_size=24).map(" ".join)


@pytest.mark.parametrize(
    ("gist", "left", "cut"),
    [
        ("Napoleon, born in Corsica, 15 August 1769.", "Napoleon, born in Corsica, 15 August 1769.", 0),
        ("napoleon's birth: corsica", "napoleon's birth: corsica", 0),
        ("He was born in the year 1796 in Corsica, it is said.", "He was born in the year in Corsica, it is said.", 1),
        ("The bread of that time cost 5 francs in Paris.", "The bread of that time cost francs in Paris.", 1),
        ("The bread of that town cost 5.2 francs (1812).", "The bread of that town cost 5.2 francs.", 1),
        ("They say that order HAT018 was to be mailed.", "They say that order was to be mailed.", 1),
        ("What was said by Ann Lee of London to the people", "What was said by Ann Lee of to the people", 1),
        ("In short, Napoleon Paris", "In short, Napoleon Paris", 0),
        ("1812 was when he went to Corsica and to Paris", "was when he went to Corsica and to Paris", 1),
        ("4. Bread was not cheap in Paris at all, people say", "Bread was not cheap in Paris at all, people say", 1),
    ],
)
def test_what_the_source_does_not_hold_is_cut(gist, left, cut):
    assert guard(Source(SOURCE), gist) == (left, cut)


def test_a_gist_that_loses_much_is_not_kept():
    assert guard(Source(SOURCE), "Berlin, 1812; Madrid, 1813") == ("", 2)
    assert guard(Source(SOURCE), "") == ("", 0)


@settings(max_examples=150, deadline=None)
@given(texts, texts)
def test_after_the_guard_no_value_is_absent_from_the_source(source, gist):
    left, cut = guard(Source(source), gist)
    assert Source(source).unfounded(left) == []
    body = " ".join(source.casefold().split())
    for kind, value in value_texts(left):
        found = [w for w in value.split() if w[0].isupper()] if kind is FactKind.NAME else [value]
        assert all(" ".join(part.casefold().split()) in body for part in found)
    assert cut or left == gist


@settings(max_examples=150, deadline=None)
@given(texts, st.data())
def test_a_stretch_of_the_source_is_untouched(source, data):
    found = words(source, Span(0, len(source)))
    if not found:
        return
    first = data.draw(st.integers(0, len(found) - 1))
    last = data.draw(st.integers(first, len(found) - 1))
    stretch = source[found[first].start : found[last].end]
    assert guard(Source(source), stretch) == (stretch, 0)


def test_a_megabyte_is_guarded_in_linear_time():
    source = "x5 " * 300_000
    assert guard(Source(source), "x6 and so on and on and on, x5") == ("and so on and on and on, x5", 1)
    assert guard(Source(source), "x5 and so on, " * 20) == ("x5 and so on, " * 20, 0)


def test_the_examples_in_the_docstrings_are_true():
    assert doctest.testmod(module).failed == 0
