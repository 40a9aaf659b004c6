"""What the caller protects: patterns, spans, metadata; and clear errors for what cannot be understood."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gist_core.errors import InvalidInputError
from gist_core.keep import resolve_keep
from gist_core.passage import Passage, Span

TEXT = "Pay 300 euros by 5 May, or 400 later."


def passage(text: str = TEXT, keep: Any = None) -> Passage:  # wrong types are the point
    return Passage(id="p", text=text, metadata={} if keep is None else {"keep": keep})


def kept(items: list[Any], *passages: Passage) -> list[list[str]]:
    given = passages or (passage(),)
    return [[p.text[a:b] for a, b in spans] for p, spans in zip(given, resolve_keep(given, items), strict=True)]


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], []),
        ([r"\d{3}"], ["300", "400"]),
        ([re.compile("PAY", re.IGNORECASE)], ["Pay"]),
        ([Span(0, 3)], ["Pay"]),
        (["x*"], []),
        (["^", "$", "(?=P)"], []),
        ([r"\d+ euros", "300"], ["300 euros"]),
        ([Span(0, 5), Span(4, 7)], ["Pay 300"]),
        ([Span(5, 5)], []),
    ],
)
def test_items(items: list[Any], expected: list[str]) -> None:
    assert kept(items) == [expected]


def test_patterns_search_every_passage() -> None:
    assert kept(["a+"], passage("aab"), passage("b"), passage("ba")) == [["aa"], [], ["a"]]


@pytest.mark.parametrize("own", [[[0, 3]], [(0, 3)], [Span(0, 3)], ((0, 3),)])
def test_metadata(own: Any) -> None:
    assert kept(["400"], passage(keep=own), passage()) == [["Pay", "400"], ["400"]]


def test_no_passages() -> None:
    assert resolve_keep([], ["a"]) == []


@pytest.mark.parametrize(
    ("items", "named"),
    [
        (["("], "'('"),
        ([re.compile(b"x")], "b'x'"),
        ([b"x"], "b'x'"),
        ([Span(0, 999)], "999"),
        ([Span(-1, 3)], "-1"),
        ([Span(3, 1)], "(3, 1)"),
        ([5], "5"),
        ([None], "None"),
        ([[0, 3]], "[0, 3]"),
        ([("a", "b")], "('a', 'b')"),
        ("abc", "str"),
        (Span(0, 3), "(0, 3)"),
        (None, "NoneType"),
    ],
)
def test_wrong_items(items: Any, named: str) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(named)) as caught:
        resolve_keep([passage()], items)
    assert caught.value.hint


@pytest.mark.parametrize(
    "own", ["abc", 5, {"a": 1}, [[0]], [[0, 1, 2]], [[0, 99]], [["0", "1"]], [[True, 2]], [None], Span(0, 3)]
)
def test_wrong_metadata(own: Any) -> None:
    with pytest.raises(InvalidInputError, match="'p'"):
        resolve_keep([passage(keep=own)], [])


def test_span_needs_one_passage() -> None:
    with pytest.raises(InvalidInputError, match="2 passages"):
        resolve_keep([passage(), passage()], [Span(0, 1)])
