"""The script behind the memory-speed table, in small."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "cookbook" / "runs" / "memory_speed.py"


@pytest.fixture(scope="module")
def speed():
    spec = spec_from_file_location("memory_speed", SCRIPT)
    module = module_from_spec(spec)
    sys.modules["memory_speed"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["memory_speed"]


def test_what_stood_at_the_beginning_of_the_prompt_before_is_a_hit(speed):
    prompts = speed.Prompts("any")
    for view in ([("a", 10)], [("a", 10), ("b", 5)], [("b", 5), ("c", 5)]):
        prompts.add(view)
    found = prompts.row()
    assert found["cached_%"] == round(100 * 10 / 35, 1)
    assert found["prefix_unchanged_%"] == round(100 * 2 / 3, 1)
    assert (found["tokens_a_prompt"], found["new_tokens_a_prompt"]) == (12, 8)


def test_the_other_memories_stay_within_the_limit(speed):
    window, summary = [], []
    for number in range(100):
        window = speed.trimmed(window, (f"t{number}", 70))
        summary = speed.summarised(summary, (f"t{number}", 70))
        assert max(sum(size for _, size in view) for view in (window, summary)) <= speed.LIMIT
    assert window == [(f"t{number}", 70) for number in range(43, 100)]
    assert summary[0] == ("summary before t57", speed.SUMMARY)
    assert summary[1:] == [(f"t{number}", 70) for number in range(52, 100)]


def test_texts_come_from_a_file_or_are_made_the_same_each_time(speed, tmp_path):
    path = tmp_path / "turns.txt"
    path.write_text("One.\n\nTwo.\n")
    lines = speed.texts(path)
    assert [next(lines) for _ in range(3)] == ["One.", "Two.", "One."]
    first, again = speed.texts(None), speed.texts(None)
    made = [next(first) for _ in range(300)]
    assert made == [next(again) for _ in range(300)]
    assert len(set(made)) > 200


def test_a_short_conversation_is_measured_and_reported(speed):
    results = [speed.measure(archive, None, 50) for archive in speed.ARCHIVES]
    assert [found["archive"] for found in results] == ["memory", "sql"]
    assert all(found["turns"] == 50 and not sum(found["scored"]) for found in results)
    text = speed.report(results)
    assert "| gist |" in text
    assert "| sql |" in text
