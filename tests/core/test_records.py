"""Splits: what a record is about decides its side, in whatever language it is."""

from __future__ import annotations

import pytest

from gist_core.records import document_split
from gist_core.translated import ENGLISH_TITLES


def side(title: str) -> str:
    return document_split({"id": "d0", "title": title, "text": f"A text of {title}."})


@pytest.mark.parametrize(
    ("translated", "title", "wanted"),
    [
        ("ABC (Stati Uniti d'America)", "American_Broadcasting_Company", "test"),
        ("Motore a vapore", "Steam_engine", "test"),
        ("Martin Lutero", "Martin_Luther", "validation"),
        ("Sistema immunitario", "Immune_system", "train"),
        ("Kenya", "Kenya", "validation"),
    ],
)
def test_a_translation_stands_on_the_side_of_what_it_translates(translated, title, wanted):
    assert side(translated) == side(title) == wanted


def test_titles_are_as_they_are_compared():
    for names in ENGLISH_TITLES.items():
        assert all(n == n.replace("_", " ").strip().lower() for n in names)
    assert all(a != b for a, b in ENGLISH_TITLES.items())
