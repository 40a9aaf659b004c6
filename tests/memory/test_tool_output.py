"""Tool results made short: JSON stays JSON, what stays is as it was written, and every loss is told."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gist_core.budget import Budget
from gist_core.errors import CompressionError
from gist_core.memory.tool_output import shorten_json, shorten_result
from gist_core.tokens import TokenCounter, token_counter
from tests.helpers.lexical import FAIL, LexicalCompressor

COUNTER = token_counter("o200k_base")
NOTE = "left out]"


def shorten(text: str, limit: int) -> str:
    found = shorten_json(text, limit, COUNTER)
    assert found is not None
    return found


def flights(count: int = 40) -> list[dict[str, Any]]:
    return [
        {
            "flight_number": f"HAT{number:03}",
            "origin": "SFO",
            "destination": "JFK",
            "status": "available",
            "seats": {"economy": 12, "business": 3},
            "price": 100 + number,
            "notes": "It leaves from gate B12, and passengers are asked to be there in good time. " * 4,
        }
        for number in range(count)
    ]


# What stays and what goes


@pytest.mark.parametrize(
    "text", ["", " ", "12", '"text"', "null", "true", "[1,2", "{'a': 1}", "a [1]", "[1] [2]", "[01]"]
)
def test_other_texts_are_not_json(text: str) -> None:
    assert shorten_json(text, 0, COUNTER) is None


@pytest.mark.parametrize("text", ["[]", ' \n{ "a" : 1.10 }\t', '[1,\r\n "\\u00e9"]'])
def test_what_fits_is_not_touched(text: str) -> None:
    assert shorten(text, COUNTER.count(text)) == text


def test_compact_comes_first() -> None:
    text = json.dumps({"a": [1, 2], "b": "c"}, indent=8)
    compact = '{"a":[1,2],"b":"c"}'
    assert shorten(text, COUNTER.count(compact)) == compact


def test_the_smallest_forms() -> None:
    assert shorten(json.dumps(flights(14)), 0) == '["[14 items left out]"]'
    assert shorten(json.dumps(flights(1)), 0) == '["[1 item left out]"]'
    assert shorten(json.dumps(dict(enumerate(flights(9)))), 0) == '{"[left out]":"9 entries"}'
    assert shorten(json.dumps({"a": flights(9)}), 0) == '{"[left out]":"1 entry"}'


@pytest.mark.parametrize("text", ["[]", "{}", "[1]", '{"a":1}'])
def test_never_longer_than_the_text(text: str) -> None:
    assert shorten(text, 0) == text


def test_a_string_keeps_its_beginning_to_a_whole_word() -> None:
    words = "word " * 200
    assert shorten(json.dumps({"a": 1, "text": words}), 60) == (
        '{"a":1,"text":"' + ("word " * 44).strip() + '… [781 characters left out]"}'
    )


@pytest.mark.parametrize("text", ["x" * 2000, "机器学习" * 500, "e\u0301" * 1000, "👩\u200d👧" * 700])
def test_a_string_without_spaces(text: str) -> None:
    (found,) = json.loads(shorten(json.dumps([text]), 120))
    kept, note = found.split("… ")
    assert len(kept) >= 20
    assert text.startswith(kept)
    assert note == f"[{len(text) - len(kept):,} characters left out]"
    assert text[len(kept)] not in "\u0301\u200d"


def test_an_array_keeps_its_first_items() -> None:
    assert shorten(json.dumps(list(range(100))), 24) == '[0,1,2,3,4,5,"[94 of 100 items left out]"]'


def test_an_object_keeps_its_first_entries() -> None:
    text = json.dumps({f"key{number}": number for number in range(40)})
    assert shorten(text, 24) == '{"key0":0,"key1":1,"[left out]":"38 of 40 entries"}'


def test_the_notes_key_is_never_a_real_one() -> None:
    text = json.dumps({"[left out]": "mine", "[[left out]]": 2} | {f"key{number}": number for number in range(40)})
    found = json.loads(shorten(text, 30))
    assert found["[left out]"] == "mine"
    assert found["[[[left out]]]"].endswith(" of 42 entries")


def test_order_of_the_cuts() -> None:
    """Strings first, then arrays down to their first item, then deep entries; numbers at the top stay longest."""
    text = json.dumps({"found": 40, "flights": flights(), "page": 1})
    found = {limit: shorten(text, limit) for limit in (4_000, 1_000, 180, 60, 40)}
    assert [found[limit].count("flight_number") for limit in found] == [40, 11, 2, 1, 0]
    assert found[4_000].count("characters left out]") == 40
    assert found[180].count('"seats":{"economy":12,"business":3}') == 2
    assert '"status":"available","[left out]":"3 of 7 entries"},"[39 of 40 items left out]"]' in found[60]
    assert all(text.startswith('{"found":40,') and text.endswith('"page":1}') for text in found.values())


def test_literals_stay_as_written() -> None:
    numbers = ["1.10", "1e400", "-0", "123456789012345678901234567890", "1E-7", "9" * 5000]
    text = f'{{"n": [{", ".join(numbers)}, true, null], "é\\u00e9\\/": "\\ud800\\u00fc", "text": "{"word " * 300}"}}'
    found = shorten(text, COUNTER.count(text) - 200)
    start = f'{{"n":[{",".join(numbers)},true,null],"éé/":"\\ud800ü","text":"word word '
    assert found.startswith(start)
    assert found.encode("utf-8").endswith(b'characters left out]"}')


def test_duplicate_keys_survive() -> None:
    assert shorten('{"a": 1, "a": 2, "b": "' + "word " * 100 + '"}', 40).startswith('{"a":1,"a":2,"b":"word ')


def test_small_things_are_not_replaced_by_longer_notes() -> None:
    text = json.dumps({"point": [52.1, 13.4], "size": {"w": 1}, "list": list(range(200))})
    assert shorten(text, 40).startswith('{"point":[52.1,13.4],"size":{"w":1},"list":[0,')


@pytest.mark.parametrize(("opens", "closes"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("depth", [60, 70, 400])
def test_deep_nesting(opens: str, closes: str, depth: int) -> None:
    text = opens * depth + json.dumps("word " * 500) + closes * depth
    found = shorten(text, 300)
    json.loads(found)
    assert COUNTER.count(found) <= 300
    assert ("characters left out" in found) == (depth < 64)
    assert shorten(text, 0) == ('["[1 item left out]"]' if opens == "[" else '{"[left out]":"1 entry"}')


def test_very_deep_nesting_is_no_error() -> None:
    text = "[" * 10_000 + "]" * 10_000
    assert shorten_json(text, 10, COUNTER) in (None, '["[1 item left out]"]')


# A second time


@pytest.mark.parametrize("limit", [1_500, 400, 160, 90, 45, 30, 20, 9, 0])
def test_twice_is_once(limit: int) -> None:
    for data in (flights(), {"found": 40, "[left out]": 1, "flights": flights()}):
        once = shorten(json.dumps(data, indent=1), limit)
        assert shorten(once, limit) == once


def test_a_shorter_limit_keeps_the_account() -> None:
    once = shorten(json.dumps(list(range(100))), 40)
    assert shorten(once, 24) == '[0,1,2,3,4,5,"[94 of 100 items left out]"]'
    once = shorten(json.dumps({f"key{number}": number for number in range(40)}), 40)
    assert shorten(once, 24) == '{"key0":0,"key1":1,"[left out]":"38 of 40 entries"}'
    once = shorten(json.dumps(["word " * 200]), 100)
    assert shorten(once, 60) == shorten(json.dumps(["word " * 200]), 60)


def test_notes_that_do_not_add_up_are_text() -> None:
    text = json.dumps([1, 2, "[5 of 14 items left out]", *["word " * 50] * 3])
    assert shorten(text, 40).startswith('[1,2,"[5 of 14 items left out]"')
    assert shorten('[1,"[9 of 14 items left out]"]' + " " * 9_000, 0) == '["[2 items left out]"]'


# Any JSON

KEYS = st.sampled_from(
    ["a", "b", "id", "é", "[left out]", "[[left out]]", "a long key of several words", '"', "\\", "\n"]
)
WORDS = st.lists(
    st.sampled_from(["word", "1,234.5", "é", "机器", "\ud800", "😀", '"', "\\", "\n", " [3 items left out]"])
)
STRINGS = st.one_of(st.text(max_size=8), WORDS.map(" ".join), WORDS.map(lambda words: "ab " * 60 + " ".join(words)))
NUMBERS = st.sampled_from(["0", "-0", "1.10", "1e400", "12345678901234567890", "-1.5E+3", "7", "100"])
LEAVES = st.one_of(
    NUMBERS,
    st.sampled_from(["true", "false", "null"]),
    STRINGS.map(json.dumps),
    STRINGS.map(lambda text: json.dumps(text, ensure_ascii=False)),
)
COMMA = st.sampled_from([",", ", ", " ,\n "])


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(KEYS.map(json.dumps), inner).map(": ".join)
    arrays = st.tuples(COMMA, st.lists(inner, max_size=30)).map(lambda row: f"[{row[0].join(row[1])}]")
    objects = st.tuples(COMMA, st.lists(pairs, max_size=12)).map(lambda row: f"{{{row[0].join(row[1])}}}")
    return st.one_of(arrays, objects)


TEXTS = containers(st.recursive(LEAVES, containers, max_leaves=60))


def inventory(text: str) -> tuple[Counter[str], set[str], list[str]]:
    """Numbers as written, keys and strings of a JSON text; fails if it is none."""
    numbers: Counter[str] = Counter()
    keys: set[str] = set()
    strings: list[str] = []

    def number(literal: str) -> None:
        numbers[literal] += 1

    def values(pairs: list[tuple[str, Any]]) -> list[Any]:
        keys.update(key for key, _ in pairs)
        return [value for _, value in pairs]

    def walk(value: Any) -> None:
        if isinstance(value, str):
            strings.append(value)
        for item in value if isinstance(value, list) else ():
            walk(item)

    walk(json.loads(text, parse_int=number, parse_float=number, object_pairs_hook=values))
    return numbers, keys, strings


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.integers(0, 200))
def test_any_json(text: str, limit: int) -> None:
    found = shorten(text, limit)
    tokens = COUNTER.count(found)
    assert tokens <= COUNTER.count(text)
    assert tokens <= limit or found == shorten(text, 0)
    assert shorten(found, limit) == found
    numbers, keys, strings = inventory(found)
    all_numbers, all_keys, all_strings = inventory(text)
    assert numbers <= all_numbers
    assert {key for key in keys if "[left out]" not in key} <= all_keys
    for string in strings:
        known = string in all_strings or NOTE in string or string.endswith(("entry", "entries"))
        assert known, string
        if "… [" in string and string not in all_strings:
            assert any(other.startswith(string.rpartition("… [")[0]) for other in all_strings)


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_any_text_is_taken(text: str) -> None:
    assert shorten_json(text, 0, COUNTER) is None or text.strip()[0] in "[{"


def test_a_large_text_takes_few_counts() -> None:
    """Writing and counting once for each step of a binary search."""

    class Counting:
        name, is_callable, calls = "counting", True, 0

        def count(self, text: str) -> int:
            self.calls += 1
            return len(text) // 4

        def count_many(self, texts: list[str]) -> list[int]:
            return [self.count(text) for text in texts]

    counter = Counting()
    assert isinstance(counter, TokenCounter)
    text = json.dumps(flights(2_500))
    assert len(text) > 1_000_000
    found = shorten_json(text, 1_000, counter)
    assert found is not None
    assert 900 < len(found) // 4 <= 1_000
    assert counter.calls < 20


# Any result

TRACE = (
    "Traceback (most recent call last):\n"
    + "".join(
        f'  File "/srv/app/module_{number}.py", line {number}, in step_{number}\n    return step_{number}(value)\n\n'
        for number in range(60)
    )
    + "ValueError: reservation 4WQ150 has no seat left in economy."
)
LOG = "\n".join(
    f"2024-05-{1 + number % 28:02} 12:{number % 60:02}:00 INFO worker {number} did job {number * 7}. It took 5 ms."
    for number in range(200)
)


@pytest.mark.parametrize("text", [TRACE, LOG], ids=["trace", "log"])
@pytest.mark.parametrize("limit", [600, 160, 60])
def test_other_text_is_compressed(text: str, limit: int) -> None:
    compressor = LexicalCompressor()
    found = shorten_result(text, limit, COUNTER, compressor, query="What did worker 17 do, and why no seat in economy?")
    body, _, note = found.rpartition("\n")
    assert COUNTER.count(found) <= limit
    assert note == f"[shortened: {COUNTER.count(body)} of {COUNTER.count(text):,} tokens kept]"
    assert all(line in text for line in body.splitlines())
    assert body
    assert limit < 100 or "seat left" in body or "worker 17 did" in body
    assert shorten_result(found, limit, COUNTER, compressor) == found


@pytest.mark.parametrize("limit", [0, 1, 5, 20])
def test_no_note_where_there_is_no_room(limit: int) -> None:
    found = shorten_result(LOG, limit, COUNTER, LexicalCompressor())
    assert COUNTER.count(found) <= limit
    assert "shortened" not in found
    assert found in LOG


def test_json_results_need_no_compressor() -> None:
    compressor = LexicalCompressor()
    text = json.dumps(flights())
    assert shorten_result(text, 160, COUNTER, compressor) == shorten(text, 160)
    assert compressor.calls == 0


@pytest.mark.parametrize("text", ["", "done", "[1, 2]", "12"])
def test_a_short_result_is_not_touched(text: str) -> None:
    assert shorten_result(text, 10, COUNTER, LexicalCompressor()) == text


def test_any_counter_counts() -> None:
    words = token_counter(lambda text: len(text.split()))
    assert Budget(tokens=1, tokenizer=words).tokenizer is words
    found = shorten_result(LOG, 50, words, LexicalCompressor())
    assert 30 < len(found.split()) <= 50


def test_a_failure_is_the_callers() -> None:
    with pytest.raises(CompressionError, match="cannot read"):
        shorten_result(f"{FAIL} " + "word " * 100, 20, COUNTER, LexicalCompressor())
