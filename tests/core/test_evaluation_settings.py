"""A folder of rows goes on only with what its rows are of; what cannot be measured is told before anything is."""

from __future__ import annotations

import json
import sys

import pytest
from click.testing import Result
from typer.testing import CliRunner

from gist_core.cli import app, console
from gist_core.errors import InvalidInputError
from gist_core.evaluation.quality import OURS
from gist_core.evaluation.rows import read_rows
from gist_core.evaluation.settings import FILE, RunSettings, claim, settings_of, told
from gist_core.evaluation.tasks import ALL
from gist_core.records import split_of
from tests.helpers.tiny import save_tiny

HERE = __name__
COUNT = 40


class Echo:
    """A reader that answers with the question."""

    def answer(self, question: str, context: str) -> str:
        return question


class Mute(Echo):
    def answer(self, question: str, context: str) -> str:
        return ""


def _record(number: int) -> dict:
    text = f"The weather was fine. Captain Nemo was born in {number}. He liked the sea and his ship."
    document = {"id": "d", "title": f"t{number}", "text": text, "role": "user"}
    question = {"id": str(number), "query": "When was Nemo born?", "answers": [str(number)]}
    return {**question, "documents": [document], "evidence": []}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("facts", "more"):
        lines = [json.dumps(_record(n)) + "\n" for n in range(1800, 1800 + COUNT)]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    folder = save_tiny(tmp_path_factory.mktemp("model") / "other")
    manifest = json.loads((folder / "gist.json").read_text())
    (folder / "gist.json").write_text(json.dumps(manifest | {"version": "later"}))
    return folder


@pytest.fixture
def evaluate(data, tmp_path, tiny):
    def run(*arguments: object, model: object = tiny, sets: tuple[str, ...] = ("facts",)) -> Result:
        named = [part for name in sets for part in ("--set", name)]
        command = ["evaluate", "--data", data, "--out", tmp_path / "out", "--model", model, *named, *arguments]
        return CliRunner().invoke(app, list(map(str, command)))

    return run


def _all_files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_another_model_is_refused_and_nothing_is_touched(evaluate, tmp_path, other):
    assert evaluate("--alone").exit_code == 0
    before = _all_files(tmp_path / "out")
    result = evaluate("--alone", model=other)
    assert result.exit_code == 2
    assert "are of another model: 'tiny@1 (" in result.output
    assert "not 'tiny@later (" in result.output
    assert "Choose another --out, or delete" in result.output
    assert _all_files(tmp_path / "out") == before


def test_other_weights_under_the_same_name_are_another_model(evaluate, tmp_path, tiny):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in tiny.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    assert evaluate("--alone").exit_code == 0
    assert evaluate("--alone", model=copy).exit_code == 0
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    assert "are of another model" in evaluate("--alone", model=copy).output


def test_the_other_side_and_another_file_of_a_set_are_refused(evaluate, data):
    assert evaluate("--alone").exit_code == 0
    result = evaluate("--alone", "--split", "validation")
    assert result.exit_code == 2
    assert "another side of the set 'facts': 'test', not 'validation'" in result.output
    with (data / "facts.jsonl").open("a") as file:
        file.write(json.dumps(_record(1900)) + "\n")
    result = evaluate("--alone")
    assert result.exit_code == 2
    assert "another file of the set 'facts': 'facts.jsonl (" in result.output


def test_another_reader_is_refused_until_its_answers_are_deleted(evaluate, tmp_path):
    assert evaluate("--alone", "--reader", f"{HERE}:Echo").exit_code == 0
    result = evaluate("--alone", "--reader", f"{HERE}:Mute")
    assert result.exit_code == 2
    assert f"another reader: '{HERE}:Echo', not '{HERE}:Mute'" in result.output
    assert repr(str(tmp_path / "out" / "answers.jsonl")) in result.output
    assert evaluate("--alone").exit_code == 0
    (tmp_path / "out" / "answers.jsonl").unlink()
    assert evaluate("--alone", "--reader", f"{HERE}:Mute").exit_code == 0
    assert {row["prediction"] for row in read_rows(tmp_path / "out" / "answers.jsonl")} == {""}
    assert f"- reader: {HERE}:Mute" in (tmp_path / "out" / "report.md").read_text()


def test_systems_sets_records_and_a_reader_may_be_added(evaluate, tmp_path):
    assert evaluate("--alone", "--limit", 1).exit_code == 0
    assert evaluate("--system", "head", "--reader", f"{HERE}:Echo", sets=("facts", "more")).exit_code == 0
    rows = read_rows(tmp_path / "out" / "rows.jsonl")
    assert {(row["set"], row["system"]) for row in rows} == {(s, x) for s in ("facts", "more") for x in (OURS, "head")}
    found = json.loads((tmp_path / "out" / FILE).read_text())
    assert list(found["systems"]) == [OURS, "head"]
    assert found["sides"] == {"facts": "test", "more": "test"}
    assert evaluate("--alone").exit_code == 0
    assert json.loads((tmp_path / "out" / FILE).read_text()) == found


def test_rows_of_an_older_release_are_taken_for_what_is_measured(evaluate, tmp_path, other):
    assert evaluate("--alone").exit_code == 0
    rows = (tmp_path / "out" / "rows.jsonl").read_bytes()
    (tmp_path / "out" / FILE).unlink()
    assert evaluate("--alone").exit_code == 0
    assert (tmp_path / "out" / "rows.jsonl").read_bytes() == rows
    assert evaluate("--alone", model=other).exit_code == 2


def test_what_has_no_rows_may_be_another(tmp_path):
    claim(tmp_path, RunSettings({OURS: "a@1"}, {"s": "s.jsonl (1)"}, {"s": "test"}, {"reader": "one"}))
    assert claim(tmp_path, RunSettings({OURS: "a@2"})).systems == {OURS: "a@2"}
    (tmp_path / "thresholds.jsonl").write_text('{"set": "s", "id": "1", "kept": []}\n')
    with pytest.raises(InvalidInputError, match="'a@2', not 'a@3'"):
        claim(tmp_path, RunSettings({OURS: "a@3"}))


def test_settings_that_cannot_be_read_are_told(tmp_path):
    (tmp_path / FILE).write_text("{")
    with pytest.raises(InvalidInputError, match=FILE):
        claim(tmp_path, RunSettings())


def test_a_file_measured_whole_has_no_side(evaluate, data, tmp_path):
    result = CliRunner().invoke(
        app,
        ["evaluate", "--data", str(data / "facts.jsonl"), "--out", str(tmp_path / "out"), "--alone", "--limit", "2"],
    )
    assert result.exit_code == 0, result.output
    assert "- split: all\n" in result.stdout
    assert "- model: gist-selective@" in result.stdout
    files = {"x": "x.jsonl (1)", "y": "b (2).jsonl (3)", "z": "x.jsonl (1)"}
    about = told(RunSettings({OURS: "a@1 (2)"}, files, {"x": "test", "y": ALL, "z": "test"}, {"lm": "c"}))
    assert about == {"model": "a@1 (2)", "data": "x.jsonl, b (2).jsonl", "split": "test of x, z; all of y", "lm": "c"}


@pytest.mark.parametrize("place", ["taken", "taken/below", "/proc/nothing/here"])
def test_a_folder_that_cannot_be_made_is_told(data, tmp_path, tiny, place):
    (tmp_path / "taken").write_text("")
    command = ["evaluate", "--data", data, "--out", tmp_path / place, "--model", tiny, "--alone"]
    result = CliRunner().invoke(app, list(map(str, command)))
    assert result.exit_code == 2
    assert f"Cannot write to --out {str(tmp_path / place)!r}" in result.output


@pytest.mark.parametrize("option", ["--reader", "--lm"])
def test_a_model_that_is_not_there_is_told_before_anything_is_measured(evaluate, tmp_path, option):
    result = evaluate("--alone", option, tmp_path / "nowhere")
    assert result.exit_code == 2
    assert "nowhere" in result.output
    assert not (tmp_path / "out").exists()


def test_a_system_of_ones_own_may_lie_in_the_current_folder(evaluate, tmp_path, monkeypatch):
    (tmp_path / "my_pipelines.py").write_text(f"from {HERE} import make_head as pipeline\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    result = evaluate("--system", "my_pipelines:pipeline")
    assert result.exit_code == 0, result.output
    assert "| my_pipelines:pipeline |" in result.stdout
    assert "the current folder" in evaluate("--system", "no_such_pipelines:pipeline").output


def make_head():
    from gist_core.evaluation.systems.simple import head

    return head()


def test_progress_is_a_plain_line_now_and_then_where_there_is_no_terminal(capsys, monkeypatch):
    times = iter([0.0, 10.0, 31.0, 31.0, 40.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(times))
    assert list(console.counted("abc", "measured")) == ["a", "b", "c"]
    assert capsys.readouterr().err == "gist: measured: 2 of 3 records.\n"


def test_settings_name_each_file_and_side(data, tmp_path, tiny):
    from gist_core.evaluation.quality import chosen_tasks
    from gist_core.loading import load_compressor

    tasks, _ = chosen_tasks(data, ["facts"], "validation", None)
    assert len(tasks) == sum(split_of(_record(n)) == "validation" for n in range(1800, 1800 + COUNT))
    found = settings_of(tasks, {OURS: load_compressor(str(tiny))}, str(tiny), lm="owner/name")
    assert found.sides == {"facts": "validation"}
    assert found.models == {"lm": "owner/name"}
    assert found.data["facts"].startswith("facts.jsonl (")


def test_chat_memory_goes_on_with_the_same_model_only(data, tmp_path, tiny, other):
    def run(model: object, *more: str) -> Result:
        command = ["evaluate-memory", "--data", data, "--out", tmp_path / "out", "--model", model, "--alone", *more]
        return CliRunner().invoke(app, list(map(str, command)))

    first = run(tiny, "--set", "facts", "--limit", "1")
    assert first.exit_code == 0, first.output
    assert run(tiny, "--set", "facts", "--set", "more", "--limit", "2").exit_code == 0
    result = run(other, "--set", "facts")
    assert result.exit_code == 2
    assert "are of another model: 'tiny@1 (" in result.output
