"""Thousands of titles, and titles that are longer than any text."""

from __future__ import annotations

import re

import numpy as np

from gist_core import Budget, Passage, load_compressor
from gist_core.segment import segments
from gist_core.selective import bridges
from gist_core.selective.terms import NO_UNIT, TITLE, words
from gist_core.selective.windows import Titles, tokenize, windows
from tests.helpers.tiny import tiny_tokenizer


class _Counting:
    """A pattern that counts what it is asked to find in a title."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern, self.asked = pattern, 0
        self.match, self.finditer = pattern.match, pattern.finditer

    def findall(self, text: str) -> list[str]:
        self.asked += 1
        return self.pattern.findall(text)


def test_titles_are_looked_at_once_and_not_for_every_text(monkeypatch):
    counting = _Counting(bridges._WORD)
    monkeypatch.setattr(bridges, "_WORD", counting)
    texts, titles = ["A river, a dog."] * 50, [f"T{i}" for i in range(50)]
    found = [segments(text) for text in texts]
    bridges.with_bridges(texts, [f"Topic {t}" for t in titles], found, np.zeros(50, np.float32))
    assert counting.asked == 50


class _Number(int):
    """A number that counts how often it is compared."""

    compared = 0

    __hash__ = int.__hash__

    def __eq__(self, other):
        _Number.compared += 1
        return int(self) == int(other)


def test_whose_title_it_is_is_looked_up_and_not_searched(monkeypatch):
    number = 400
    texts = ["Berlin and Paris are far apart."] * number
    titles = ["Paris" if i % 2 else "Berlin" for i in range(number)]
    names = bridges._names(titles)
    counted = {name: [_Number(i) for i in some] for name, some in names.items()}
    monkeypatch.setattr(bridges, "_names", lambda _: counted)
    logits = np.zeros(number, np.float32)
    lent = bridges.with_bridges(texts, titles, [segments(text) for text in texts], logits)
    assert (lent == logits).all()
    assert _Number.compared < 10 * number


def test_a_title_that_is_longer_than_any_text_is_cut_before_each_window_reads_it():
    text = "The cat sat on the mat. " * 40
    units = [[s.span for s in segments(text)]]
    titles = Titles(np.array([1]), ["", "Кот и пёс " * 10_000], [(), (5,)])
    cut = windows(tokenize([text], units, tiny_tokenizer()), 8, titles)
    assert len(cut) > 20
    found = words([text], units, cut)
    assert 0 < (found.unit == NO_UNIT).sum() <= len(cut) * TITLE


def test_a_long_title_does_no_harm():
    passages = [Passage("a", "Кошка спит. Собака лает.", {"title": "Лиса " * 5_000}), Passage("b", "Дом стоит.")]
    results = load_compressor(device="cpu").compress(passages, query="Где собака?", budget=Budget(tokens=8))
    assert sum(r.usage.tokens_out for r in results) <= 8
