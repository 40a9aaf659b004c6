from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gist_core.cases import Case, case_of
from gist_core.cli import app
from gist_core.errors import CheckpointError
from gist_core.evaluation.metrics import holds_answer, share_inside, usable_answers
from gist_core.evaluation.rows import Row, key, read_rows
from gist_core.evaluation.runner import RATES, run
from gist_core.intervals import bootstrap_interval
from gist_core.passage import Span
from gist_core.records import split_of
from tests.helpers.lexical import Broken, LexicalCompressor
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


def _case(number: int = 1801, **more: Any) -> Case:
    return replace(case_of("facts", _record(number)), **more)


class Headline(LexicalCompressor):
    """The first words of each passage, without saying where they stand."""

    def compress(self, passages, **settings):
        return [replace(r, text=" ".join(p.text.split()[4:9]), kept=None) for p, r in self._pairs(passages, settings)]

    def _pairs(self, passages, settings):
        return zip(passages, super().compress(passages, **settings), strict=True)


class Rewriter(Headline):
    def compress(self, passages, **settings):
        return [replace(r, text="Somebody came 1999 kg later.") for r in super().compress(passages, **settings)]


class Half(LexicalCompressor):
    def compress(self, passages, **settings):
        return super().compress(passages, **settings)[:-1]


def _rows(tmp_path, case, **systems):
    run([case], systems, tmp_path / "out" / "rows.jsonl")
    return {(r["system"], r["rate"]): r for r in read_rows(tmp_path / "out" / "rows.jsonl")}


def test_a_row_holds_what_is_measured_of_an_output(tmp_path):
    row = _rows(tmp_path, _case(), ours=LexicalCompressor())["ours", 2]
    assert row.keys() == Row.__annotations__.keys() - {"error"}
    assert (row["set"], row["id"], row["rate"], row["budget"]) == ("facts", "1801", 2, row["tokens_in"] // 2)
    assert 0 < row["tokens"] <= row["budget"]
    assert (row["answer"], row["evidence"], row["all_evidence"], row["over"]) == (True, 1.0, True, False)
    assert (row["entities"], row["invented"], row["altered"]) == (1.0, 0, False)
    assert row["kinds"] == {"date": [1, 1, 0], "name": [1, 1, 0]}
    assert row["seconds"] > 0
    text = _case().passages[0].text
    passage, start, end = row["kept"][0]
    assert (passage, text[start:end][:7]) == (0, "Captain")


def test_text_without_spans_is_found_again_and_text_written_anew_has_no_evidence(tmp_path):
    rows = _rows(tmp_path, _case(), headline=Headline(), rewriter=Rewriter())
    found, anew = rows["headline", 20], rows["rewriter", 20]
    assert found["kept"] is None
    assert found["evidence"] == pytest.approx(25 / 30, abs=0.05)
    assert (found["all_evidence"], found["altered"]) == (False, False)
    assert (anew["evidence"], anew["all_evidence"], anew["answer"]) == (None, None, False)
    assert (anew["altered"], anew["invented"]) == (True, 1)
    assert anew["kinds"] == {"number": [0, 0, 1], "date": [0, 1, 0], "name": [0, 1, 0]}


def test_a_system_that_fails_has_its_error_in_its_row_and_the_others_go_on(tmp_path):
    rows = _rows(tmp_path, _case(), broken=Broken(OSError("no disk")), half=Half(), ours=LexicalCompressor())
    assert len(rows) == 3 * len(RATES)
    assert rows["broken", 4]["error"] == "OSError: no disk"
    assert rows["half", 4]["error"].startswith("ValueError")
    assert "tokens" not in rows["broken", 4]
    assert "error" not in rows["ours", 4]


def test_a_case_without_question_answers_and_evidence_is_measured_as_far_as_it_goes(tmp_path):
    asked = []

    class Asked(LexicalCompressor):
        def compress(self, passages, *, query=None, **settings):
            asked.append(query)
            return super().compress(passages, query=query, **settings)

    row = _rows(tmp_path, _case(query="", answers=[], evidence=[[]]), ours=Asked())["ours", 4]
    assert (row["answer"], row["evidence"], row["all_evidence"]) == (None, None, None)
    assert row["entities"] is not None
    assert set(asked) == {None}


def test_a_run_goes_on_where_it_was_stopped_even_inside_a_line(tmp_path):
    out, ours = tmp_path / "out" / "rows.jsonl", LexicalCompressor()
    _rows(tmp_path, _case(), ours=ours)
    whole = out.read_text()
    out.write_text(whole[: whole.rindex('"seconds"')])
    assert len(read_rows(out)) == len(RATES) - 1
    calls = ours.calls
    _rows(tmp_path, _case(), ours=ours)
    assert ours.calls == calls + 1
    assert [key(r) for r in read_rows(out)] == [key(json.loads(line)) for line in whole.splitlines()]


def _evaluate(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_gist_evaluate_writes_rows_and_a_report_and_goes_on_where_it_was(tmp_path):
    records = [_record(n) for n in range(1800, 1860)]
    (tmp_path / "facts.jsonl").write_text("\n".join(map(json.dumps, records)))
    expected = sum(split_of(r) == "test" for r in records)
    command = ["--data", tmp_path, "--out", tmp_path / "out", "--model", save_tiny(tmp_path / "tiny")]
    first = _evaluate(*command, "--set", "facts", "--alone")
    assert first.exit_code == 0, first.output
    rows = read_rows(tmp_path / "out" / "rows.jsonl")
    assert len(rows) == len(RATES) * expected > 0
    assert not any(r["over"] for r in rows)
    assert all(r["answer"] for r in rows if r["tokens"] > 20)
    assert "| gist |" in first.stdout
    assert (tmp_path / "out" / "report.md").read_text() == first.stdout
    assert {p.suffix for p in (tmp_path / "out").iterdir()} == {".jsonl", ".md", ".json", ".html"}
    assert _evaluate(*command, "--set", "facts", "--alone").exit_code == 0
    assert read_rows(tmp_path / "out" / "rows.jsonl") == rows


def test_gist_evaluate_measures_a_file_of_ones_own_beside_a_compressor_of_ones_own(tmp_path):
    mine = tmp_path / "mine.jsonl"
    mine.write_text('{"documents": [{"text": "Ann Lee paid 120 dollars. It was a sunny day, and all went home."}]}\n')
    system = f"{LexicalCompressor.__module__}:LexicalCompressor"
    command = ["--data", mine, "--out", tmp_path / "out", "--model", save_tiny(tmp_path / "tiny")]
    found = _evaluate(*command, "--system", system, "--system", "bm25")
    assert found.exit_code == 0, found.output
    rows = read_rows(tmp_path / "out" / "rows.jsonl")
    assert [r["system"] for r in rows[:: len(RATES)]] == ["gist", system, "bm25"]
    assert all(r["answer"] is None and r["entities"] is not None and "error" not in r for r in rows)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--set", "nope", "--alone"], 2, "nope"),
        (["--system", "nonsense"], 2, "nonsense"),
        (["--system", "bm25", "--alone"], 2, "bm25"),
        (["--system", "tests.core.test_evaluation:gone"], 2, "its model is gone"),
    ],
)
def test_what_cannot_be_measured_is_named(tmp_path, arguments, code, says):
    (tmp_path / "facts.jsonl").write_text(json.dumps(_record(1801)))
    model = save_tiny(tmp_path / "tiny")
    result = _evaluate("--data", tmp_path, "--out", tmp_path / "o", "--model", model, *arguments)
    assert result.exit_code == code
    assert says in result.output
    assert not (tmp_path / "o").exists()


def gone() -> None:
    raise CheckpointError("Sorry, its model is gone.", hint="Fetch it.")
