from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gist_core.memory.layout import Layout

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
objects = st.lists(values) | st.dictionaries(st.text(), values)


@given(objects, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_another_layout_is_the_same_json(value, indent, escaped):
    given_text = json.dumps(value, indent=indent, ensure_ascii=escaped)
    laid = Layout(given_text)
    assert laid.is_json
    assert json.loads(laid.text) == value
    assert Layout(laid.text).text == laid.text


@given(objects, st.data())
def test_a_span_holds_the_same_characters(value, data):
    text = json.dumps(value)
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    if text[start].isspace() or text[end - 1].isspace():
        return
    shown_start, shown_end = Layout(text).span((start, end))
    shown = Layout(text).text[shown_start:shown_end]
    assert re.sub(r"\s", "", shown) == re.sub(r"\s", "", text[start:end])


@pytest.mark.parametrize(
    "text", ["", "plain", "12", '"a"', "{a: 1}", "[1, 2", "see [1]", "[" * 100_000, "[" + "9" * 5_000 + "]"]
)
def test_what_is_no_json_object_or_array_stays(text):
    laid = Layout(text)
    assert (laid.text, laid.is_json) == (text, False)


def test_numbers_and_repeated_keys_stay_as_they_are_written():
    laid = Layout('{"price": 12.50, "price": 1E400, "s": "a,  {b}: \\u00e9"}')
    assert laid.text == '{\n  "price": 12.50,\n  "price": 1E400,\n  "s": "a,  {b}: \\u00e9"\n}'


def test_what_is_deep_shares_a_line():
    assert Layout('{"a":[{"b":1,"c":[]}],"d":{}}').text == '{\n  "a": [\n    {"b": 1, "c": []}\n  ],\n  "d": {}\n}'
    assert Layout('[{"a":1,"b":[2]},{"a":3}]').text == '[\n  {"a": 1, "b": [2]},\n  {"a": 3}\n]'
