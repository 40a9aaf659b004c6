from __future__ import annotations

import json
import random
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gist_core.cases import Case
from gist_core.cli import train as cli_train
from gist_core.errors import CheckpointError, InvalidInputError
from gist_core.evaluation.causal import CausalReader
from gist_core.evaluation.extractive_reader import ExtractiveReader
from gist_core.evaluation.flips import flips
from gist_core.evaluation.outside import OutsideCompressor
from gist_core.evaluation.reader import Reader, load_reader, run_reader
from gist_core.evaluation.reader_metrics import answer_words, best_f1, exact_match
from gist_core.evaluation.rows import read_rows
from gist_core.passage import Passage, Span
from gist_core.records import read_records, split_of
from gist_core.training import reader as training
from gist_core.training.reader import ReaderRecipe, batches, train_reader
from gist_core.training.reader_examples import WindowBuilder, answer_spans, build_windows, token_span
from tests.helpers.tiny_reader import save_tiny_encoder, save_tiny_llama, wrapped_tokenizer

STORY = "Napoleon was born in Corsica in 1769. He liked cheese. The cat sat on the mat. "


@pytest.mark.parametrize(
    ("prediction", "answers", "exact", "f1"),
    [
        ("The Corsica.", ["corsica"], True, 1.0),
        ("U.S. Army", ["the US army"], True, 1.0),
        ("in Corsica", ["Corsica", "France"], False, 2 / 3),
        ("", ["Corsica"], False, 0.0),
        ("奈良市", ["奈良"], False, 0.8),
        ("奈 良。", ["奈良"], True, 1.0),
        ("anything", [], False, 0.0),
    ],
)
def test_answers_are_judged_as_squad_does(prediction, answers, exact, f1):
    assert exact_match(prediction, answers) is exact
    assert best_f1(prediction, answers) == pytest.approx(f1)


@given(st.text(), st.text())
def test_f1_is_symmetric_and_full_for_what_matches(a, b):
    assert best_f1(a, [b]) == pytest.approx(best_f1(b, [a]))
    assert best_f1(a, [a]) == 1.0
    assert exact_match(a, [b]) is (answer_words(a) == answer_words(b))


def test_flips_go_both_ways_and_need_the_full_context():
    def row(record, system, rate, exact):
        return {"set": "s", "id": record, "system": system, "rate": rate, "exact": exact}

    rows = [row("a", "full", 1, True), row("b", "full", 1, False), row("c", "full", 1, True)]
    rows += [
        row("a", "gist", 4, False),
        row("b", "gist", 4, True),
        row("c", "gist", 4, True),
        row("d", "gist", 4, True),
    ]
    tally = flips(rows)["gist", 4]
    assert (tally.pairs, tally.lost, tally.gained) == (3, [("s", "a")], [("s", "b")])


@pytest.fixture(scope="module")
def extractive(tmp_path_factory):
    return save_tiny_encoder(tmp_path_factory.mktemp("reader"))


def test_the_extractive_reader_answers_with_the_context_s_own_words(extractive):
    reader = ExtractiveReader(str(extractive), device="cpu", window_tokens=64)
    context = STORY * 20
    found = reader.find("Where was Napoleon born?", context)
    assert 0 <= found.start < found.end <= len(context)
    assert reader.answer("Where was Napoleon born?", context) == context[found.start : found.end]
    assert reader.answer("Where?", " \n ") == ""
    assert reader.answer("Where? " * 500, "Corsica") in "Corsica"


def test_the_best_span_of_all_windows_is_taken(extractive, monkeypatch):
    """Logits that want one token: the window in which it stands wins, whichever it is."""
    reader = ExtractiveReader(str(extractive), device="cpu", window_tokens=64)
    [wanted] = wrapped_tokenizer().encode("corsica", add_special_tokens=False)[:1]
    monkeypatch.setattr("gist_core.evaluation.extractive_reader.BATCH", 2)

    def logits(input_ids, **_):
        hit = (input_ids == wanted).float() * 9
        return SimpleNamespace(start_logits=hit, end_logits=hit)

    monkeypatch.setattr(reader, "_model", logits)
    context = "The cat sat on the mat. " * 30 + "Corsica" + " The dog barked." * 30
    found = reader.find("Where?", context)
    assert context[found.start :].lower().startswith("c")
    assert context.index("Corsica") == found.start


def test_an_answer_never_ends_before_it_starts(extractive, monkeypatch):
    reader = ExtractiveReader(str(extractive), device="cpu")

    def logits(input_ids, **_):
        rising = torch.arange(input_ids.shape[1], dtype=torch.float32).expand(input_ids.shape)
        return SimpleNamespace(start_logits=rising, end_logits=-rising)

    monkeypatch.setattr(reader, "_model", logits)
    found = reader.find("Where?", STORY)
    assert found.start < found.end


def test_the_causal_reader_answers_with_a_line_and_cuts_what_it_cannot_read(tmp_path):
    reader = load_reader(str(save_tiny_llama(tmp_path, positions=160)))
    assert isinstance(reader, CausalReader)
    short = reader.answer("Where?", STORY)
    assert "\n" not in short
    assert reader.answer("Where?", STORY) == short
    assert isinstance(reader.answer("Where?", STORY * 50), str)


class Echo:
    def answer(self, question, context):
        return context.split()[-1] if context else ""


def test_readers_are_loaded_by_name(extractive, tmp_path):
    assert isinstance(load_reader(str(extractive)), ExtractiveReader)
    assert isinstance(load_reader(f"{__name__}:Echo"), Reader)
    with pytest.raises(InvalidInputError, match="nowhere"):
        load_reader("nowhere.at_all:thing")
    with pytest.raises(InvalidInputError, match="cannot answer"):
        load_reader("builtins:object")
    with pytest.raises(CheckpointError, match="No reader"):
        load_reader(str(tmp_path / "none"))


def _case(number: int, answers: list[str]) -> Case:
    text = f"{STORY * 3} It was in {number}"
    return Case(str(number), "facts", "When was it?", [Passage("d", text)], answers, [[]])


def _first_word(passages, query, budget):
    if passages[0].text.endswith("1802"):
        raise RuntimeError("no such year")
    return [p.text.split()[0] for p in passages]


def test_run_reader_asks_full_and_compressed_and_goes_on_where_it_was(tmp_path, caplog):
    cases = [_case(1801, ["1801"]), _case(1802, ["1802"]), _case(1803, [])]
    systems = {"first word": OutsideCompressor("first", _first_word)}
    out = tmp_path / "run" / "answers.jsonl"
    run_reader(Echo(), cases[:1], systems, out)
    run_reader(Echo(), cases, systems, out)
    rows = read_rows(out)
    assert [(r["id"], r["system"], r["rate"]) for r in rows] == [
        ("1801", "full", 1),
        *(("1801", "first word", rate) for rate in (2, 4, 10, 20)),
        ("1802", "full", 1),
    ]
    assert [r["exact"] for r in rows] == [True, False, False, False, False, True]
    assert "no such year" in caplog.text
    assert flips(rows)["first word", 4].lost == [("facts", "1801")]


def _record(number: int, kind: str) -> dict:
    """A fact whose year is written in digits that the tiny vocabulary knows."""
    rng = random.Random(number)
    year = "1" + "".join("679"[number // 3**place % 3] for place in range(5))
    texts = [f"The {rng.choice(['cat', 'dog'])} sat on the mat. He liked the iron." for _ in range(4)]
    texts[2] = f"The dog barked. Napoleon was born in {year}. He liked cheese."
    documents = [{"id": f"d{i}", "title": f"{number}", "text": t} for i, t in enumerate(texts)]
    start = texts[2].index(year)
    span = {"doc": "d2", "start": start, "end": start + 6, "kind": "answer"}
    if kind == "turn":
        span = {"doc": "d2", "start": 0, "end": len(texts[2]), "kind": "turn"}
        documents = [{**d, "role": "user", "session": str(number)} for d in documents]
    return {
        "id": f"{kind}{number}",
        "query": "When was Napoleon born?",
        "documents": documents,
        "answers": [year],
        "evidence": [span],
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, kind in (("facts", "answer"), ("talks", "turn")):
        lines = [json.dumps(_record(n, kind)) for n in range(80)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def _plain(ids: list[int]) -> str:
    return wrapped_tokenizer().decode(ids).replace(" ", "").replace("##", "")


@pytest.mark.parametrize("name", ["facts", "talks"])
@pytest.mark.parametrize("window_tokens", [40, 384])
def test_windows_hold_their_answer_or_point_at_the_first_token(data, name, window_tokens):
    tokenizer = wrapped_tokenizer()
    builder = WindowBuilder(tokenizer, random.Random(5), window_tokens=window_tokens, unanswerable=0.3)
    windows = build_windows(data, builder, "train", {name: 60})
    assert len(windows) == 60
    answered = [w for w in windows if w.start]
    assert 20 < len(answered) < 60
    years = {r["answers"][0] for r in read_records(data, name) if split_of(r) == "train"}
    for w in windows:
        assert len(w.ids) <= window_tokens
        assert w.ids[w.context_start - 1] == w.ids[-1] == tokenizer.sep_token_id
        if w.start:
            assert _plain(w.ids[w.start : w.end + 1]) in years
        else:
            assert w.end == 0
            assert not any(year in _plain(w.ids) for year in years)


def test_nothing_of_validation_or_test_is_read(data):
    builder = WindowBuilder(wrapped_tokenizer(), random.Random(5), 384, unanswerable=0.0, shortened=0.0)
    held_out = {r["answers"][0] for r in read_records(data, "facts") if split_of(r) != "train"}
    windows = build_windows(data, builder, "train", {"facts": 150})
    read = {_plain(w.ids[w.start : w.end + 1]) for w in windows}
    assert read
    assert held_out
    assert not read & held_out


def test_answers_of_conversations_are_looked_up_in_the_marked_turn():
    [(document, span)] = answer_spans(_record(44, "turn"))
    assert [document["text"][span.start : span.end]] == _record(44, "turn")["answers"]
    assert answer_spans({**_record(44, "turn"), "answers": ["never said"]}) == []


def test_token_span_covers_the_answer():
    offsets = [(0, 3), (4, 7), (7, 9), (10, 12)]
    assert token_span(offsets, Span(4, 9)) == (1, 2)
    assert token_span(offsets, Span(20, 22)) == (0, 0)


def test_batches_hold_like_lengths_and_every_window_once_an_epoch():
    windows = [SimpleNamespace(ids=[0] * (n % 50 + 1)) for n in range(160)]
    draw = batches(windows, 8, seed=1)
    epoch = [draw(step) for step in range(20)]
    assert sorted(id(w) for b in epoch for w in b) == sorted(map(id, windows))
    assert max(len(w.ids) for w in epoch[0]) - min(len(w.ids) for w in epoch[0]) <= 10
    assert [id(w) for w in batches(windows, 8, seed=1)(27)] == [id(w) for w in draw(27)]


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(training, "READER_MIX", {"facts": 24, "talks": 16})
    monkeypatch.setattr(training, "VALIDATION_MIX", {"facts": 6})


def _train(data, out, encoder, steps):
    return train_reader(data, out, encoder, ReaderRecipe(steps=steps, windows_per_step=4, save_every=2))


def test_a_trained_reader_reads_and_all_but_its_embeddings_has_learned(data, extractive, small, tmp_path):
    checkpoint = _train(data, tmp_path, extractive, 4)
    assert sorted(p.suffix for p in checkpoint.iterdir() if "model" in p.name) == [".safetensors"]
    reader = load_reader(str(checkpoint))
    assert reader.answer("When was Napoleon born?", STORY) in STORY
    before = ExtractiveReader(str(extractive), device="cpu")._model.state_dict()
    after = ExtractiveReader(str(checkpoint), device="cpu")._model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("bert.encoder.layer.0") for name in changed)
    assert any(name.startswith("qa_outputs") for name in changed)
    assert not any(name.startswith("bert.embeddings") for name in changed)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows] == [1, 2, 3, 4]
    assert "validation_loss" in rows[-1]


def test_a_reader_reads_windows_as_long_as_those_it_learned_from(data, extractive, small, tmp_path):
    recipe = ReaderRecipe(steps=1, windows_per_step=4, window_tokens=48)
    checkpoint = train_reader(data, tmp_path, extractive, recipe)
    reader = ExtractiveReader(str(checkpoint), device="cpu")
    assert reader._windows("When was Napoleon born?", STORY * 20)["input_ids"].shape[1] == 48


def test_a_resumed_reader_ends_as_an_uninterrupted_one(data, extractive, small, tmp_path, monkeypatch):
    whole = _train(data, tmp_path / "whole", extractive, 4)
    with monkeypatch.context() as patch:
        save = training.save_state

        def stop_after_two(*arguments):
            save(*arguments)
            if arguments[-1] == 2:
                raise KeyboardInterrupt

        patch.setattr(training, "save_state", stop_after_two)
        with pytest.raises(KeyboardInterrupt):
            _train(data, tmp_path / "parts", extractive, 4)
    resumed = _train(data, tmp_path / "parts", extractive, 4)
    assert (whole / "model.safetensors").read_bytes() == (resumed / "model.safetensors").read_bytes()


def test_gist_train_reader(data, extractive, small, tmp_path):
    command = ["reader", "--data", str(data), "--out", str(tmp_path), "--encoder", str(extractive), "--steps", "1"]
    result = CliRunner().invoke(cli_train.app, command)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "checkpoint" / "model.safetensors").exists()
    (tmp_path / "empty").mkdir()
    command[2] = str(tmp_path / "empty")
    assert CliRunner().invoke(cli_train.app, command).exit_code == 2
