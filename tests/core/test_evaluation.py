from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from gist_core.cli import app
from gist_core.evaluation.metrics import bootstrap_interval, holds_answer, share_inside, usable_answers
from gist_core.evaluation.runner import read_rows
from gist_core.passage import Span
from gist_core.records import split_of
from tests.helpers.tiny import save_tiny


@pytest.mark.parametrize(
    ("text", "answer", "found"),
    [
        ("He was born in 1769.", "1769", True),
        ("He was born in 17690.", "1769", False),
        ("The U.S. Army came", "u s army", True),
        ("the cat's mat", "a cat s mat", True),
        ("首都は奈良です", "奈良", True),
        ("category", "cat", False),
        ("anything", "", False),
    ],
)
def test_answers_are_found_as_whole_words(text, answer, found):
    assert holds_answer(text, [answer]) is found


def test_answers_that_say_nothing_are_left_out():
    assert usable_answers(["yes", "No.", "it", "42", "奈", "the 1769"]) == ["奈", "the 1769"]


def test_share_inside_counts_characters():
    assert share_inside([Span(0, 10), Span(20, 30)], [Span(5, 25)]) == (10, 20)
    assert share_inside([], [Span(0, 5)]) == (0, 0)


def test_the_interval_holds_the_mean_and_shrinks_with_more_values():
    few, many = bootstrap_interval([0, 100] * 5), bootstrap_interval([0, 100] * 500)
    assert few[0] < 50 < few[1]
    assert many[1] - many[0] < few[1] - few[0]


def _record(number: int) -> dict:
    text = f"The weather was fine. Captain Nemo was born in {number}. He liked the sea and his ship."
    start = text.index("Captain")
    return {
        "id": str(number),
        "query": "When was Nemo born?",
        "documents": [{"id": "d", "title": f"t{number}", "text": text}],
        "answers": [str(number)],
        "evidence": [{"doc": "d", "start": start, "end": start + 30, "kind": "sentence"}],
    }


def test_gist_evaluate_writes_rows_and_a_report_and_goes_on_where_it_was(tmp_path):
    records = [_record(n) for n in range(1800, 1860)]
    (tmp_path / "facts.jsonl").write_text("\n".join(map(json.dumps, records)))
    expected = sum(split_of(r) == "test" for r in records)
    model = save_tiny(tmp_path / "tiny")
    command = ["evaluate", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--model", str(model)]
    command += ["--set", "facts", "--alone"]
    first = CliRunner().invoke(app, command)
    assert first.exit_code == 0, first.output
    rows = read_rows(tmp_path / "out" / "rows.jsonl")
    assert len(rows) == 4 * expected > 0
    assert not any(r["over"] for r in rows)
    assert all(r["answer"] for r in rows if r["tokens"] > 20)
    assert "| gist |" in first.output
    assert f"{expected} records" in first.output
    CliRunner().invoke(app, command)
    assert len(read_rows(tmp_path / "out" / "rows.jsonl")) == 4 * expected


def test_a_set_that_is_not_there_is_named(tmp_path):
    model = save_tiny(tmp_path / "tiny")
    command = [
        "evaluate",
        "--data",
        str(tmp_path),
        "--out",
        str(tmp_path / "o"),
        "--model",
        str(model),
        "--set",
        "nope",
    ]
    result = CliRunner().invoke(app, [*command, "--alone"])
    assert result.exit_code == 2
    assert "nope" in result.output
