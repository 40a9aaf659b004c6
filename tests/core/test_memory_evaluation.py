from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from gist_core.budget import Budget
from gist_core.cli import app
from gist_core.errors import InvalidInputError
from gist_core.evaluation.memory_baselines import (
    Shown,
    at_random,
    best_first,
    by_rare_words,
    by_rare_words_each,
    by_words,
    by_words_asked,
    head_and_tail,
    keep_last,
)
from gist_core.evaluation.memory_report import markdown
from gist_core.evaluation.memory_runner import RATES, budget_of, run, values_kept
from gist_core.evaluation.memory_sets import Chat, Question, Sample, chosen_samples, load_chats, said, turn_counter
from gist_core.evaluation.memory_systems import GistMemory, last_turns, remembering
from gist_core.evaluation.rows import read_rows
from gist_core.memory import ToolCall, Turn
from gist_core.passage import Passage, Span
from tests.helpers.lexical import LexicalCompressor
from tests.helpers.tiny import save_tiny


def _chat(count: int = 60) -> Chat:
    turns = [Turn("user", f"I fed cat number {n}. It purred in the garden.", id=f"t{n}") for n in range(count)]
    question = Question("q", "Which cat purred in the garden?", ("number 7",), {"t7": [Span(0, 19)]})
    return Chat("c", "made", tuple(turns), (question,))


def _record(number: int, query: str | None = "Who feeds the cat?") -> dict:
    says = f"Bob feeds the cat on May {number}."
    return {
        "id": f"r{number}",
        "query": query,
        "documents": [
            {"id": "s", "text": "Rules.", "role": "system", "speaker": "system"},
            *(
                {"id": f"u{n}", "text": f"Line {n} of talk {number}.", "role": "user", "speaker": "Ann", "session": "x"}
                for n in range(40)
            ),
            {"id": "a", "text": says, "role": "assistant", "speaker": "assistant"},
            {"id": "b", "text": 'CALL feed({"cat": 1})', "role": "assistant", "speaker": "assistant"},
            {"id": "c", "text": '{"fed": true}', "role": "tool", "speaker": "feed"},
        ],
        "answers": ["Bob", "Carla"],
        "evidence": [
            {"doc": "a", "start": 0, "end": len(says), "kind": "turn"},
            {"doc": "a", "start": 0, "end": 3, "kind": "answer"},
        ],
    }


def _write(folder, records, name="made"):
    (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, records)))


def test_records_of_one_conversation_become_one_chat_with_calls_and_names(tmp_path):
    records = [_record(1), {**_record(1), "id": "again"}, _record(2)]
    _write(tmp_path, records)
    chats = load_chats(tmp_path, "made", Sample())
    assert sorted(len(chat.questions) for chat in chats) == [1, 2]
    turns = chats[0].turns
    assert [turn.role for turn in turns[-3:]] == ["assistant", "assistant", "tool"]
    assert (turns[0].name, turns[-3].name, turns[-1].name) == ("Ann", None, "feed")
    assert turns[-2].tool_calls == (ToolCall("call-b", "feed", '{"cat": 1}'),)
    assert turns[-1].tool_call_id == "call-b"
    assert said(turns[-2]) == 'feed({"cat": 1})'
    question = chats[0].questions[0]
    assert question.answers == ("Bob",)
    assert {turn: list(spans) for turn, spans in question.evidence.items()} == {"a": [Span(0, len(turns[-3].content))]}
    assert chats[0].sizes == tuple(map(turn_counter().turn, turns))


def test_a_sample_is_fixed_and_no_larger_than_asked_for(tmp_path):
    _write(tmp_path, [_record(n) for n in range(30)])
    sample = Sample(conversations=20, asked=5)
    chats = load_chats(tmp_path, "made", sample)
    asked = [q.id for chat in chats for q in chat.questions if q.asked]
    assert (len(chats), len(asked)) == (20, 5)
    again = load_chats(tmp_path, "made", sample)
    assert [chat.id for chat in again] == [chat.id for chat in chats]
    assert [q.id for chat in again for q in chat.questions if q.asked] == asked


def test_a_set_that_is_no_conversation_is_named_with_the_record(tmp_path):
    record = _record(1)
    del record["documents"][0]["role"]
    _write(tmp_path, [record])
    with pytest.raises(InvalidInputError, match=f"made is no set of conversations.*{record['id']}.*no role"):
        load_chats(tmp_path, "made", Sample())


def test_a_limit_overrides_sizes_and_a_set_that_is_not_known_gives_its_test_side():
    found = chosen_samples(["friendsqa", "another"], 3)
    assert found == {"friendsqa": Sample("test", 3, 3), "another": Sample("test", 3, 3)}
    assert chosen_samples(["another"], None) == {"another": Sample("test")}


def test_evidence_is_counted_by_characters_and_a_record_is_not_measured_twice(tmp_path):
    turns = (Turn("user", "0123456789", id="a"), Turn("user", "Pay 42 euros to Ann.", id="b"))
    evidence = {"a": [Span(0, 10)], "b": [Span(0, 6), Span(10, 14)]}
    questions = (
        Question("q1", "How much?", ("42",), evidence),
        Question("q2", "Who?", ("Ann",), {"b": [Span(0, 4)]}, asked=False),
        Question("q3", "What?", (), {"a": [Span(8, 10)]}),
    )
    chat, calls = Chat("c", "made", turns, questions), []

    def fixed(chat: Chat, budget: int) -> Shown:
        calls.append(budget)
        return Shown({"a": [Span(5, 10)], "b": [Span(4, 12)]}, "56789\n42 euros", 49)

    def told(chat: Chat, question: Question, budget: int) -> Shown:
        return fixed(chat, budget)

    rows_file = tmp_path / "out" / "rows.jsonl"
    run([chat], {"fixed": fixed}, {"told": told}, rows_file)
    rows = read_rows(rows_file)
    first = {(r["system"], r["id"]): r for r in rows if r["rate"] == 4}
    assert first["fixed", "q1"]["evidence"] == pytest.approx((5 + 2 + 2) / 20)
    assert [first["fixed", q]["evidence"] for q in ("q2", "q3")] == [0.0, 1.0]
    assert [first["fixed", q]["answer"] for q in ("q1", "q2", "q3")] == [True, False, None]
    assert first["fixed", "c"]["values"]["number"] == [1, 2]  # 42 of 0123456789 and 42
    assert ("told", "q2") not in first
    assert first["told", "q1"]["asked"]
    assert all(r["over"] and r["budget"] == 48 for r in rows)
    assert len(rows) == len(RATES) * (4 + 2)
    made = len(calls)
    run([chat], {"fixed": fixed}, {"told": told}, rows_file)
    assert (len(calls), len(read_rows(rows_file))) == (made, len(rows))
    text = rows_file.read_text().splitlines()
    rows_file.write_text("\n".join(text[1:-1]) + "\n")
    run([chat], {"fixed": fixed}, {"told": told}, rows_file)
    assert {json.dumps(r, sort_keys=True) for r in read_rows(rows_file)} == {
        json.dumps(r, sort_keys=True) for r in rows
    }


def test_values_are_found_by_themselves_and_not_inside_others():
    turns = (Turn("user", "Flight HAT017 costs 120 dollars. Ask Ann Lee on May 3, she paid 12.", id="a"),)
    kept = values_kept(Chat("c", "made", turns), "flight hat017\ncosts 120  dollars, says ann\nlee")
    assert kept == {"date": (0, 1), "identifier": (1, 1), "name": (1, 1), "number": (1, 2)}


def test_baselines_take_whole_turns_by_their_place_and_score():
    chat = _chat(10)
    size = chat.sizes[0]
    assert set(chat.sizes) == {size}
    assert list(keep_last(chat, 3 * size + 1).kept) == ["t7", "t8", "t9"]
    assert list(head_and_tail(chat, 4 * size).kept) == ["t0", "t1", "t8", "t9"]
    assert set(head_and_tail(chat, 100 * size).kept) == {turn.id for turn in chat.turns}
    best = best_first(chat, -abs(np.arange(10) - 4.2), 2 * size)
    assert (list(best.kept), best.tokens) == (["t4", "t5"], 2 * size)
    assert best.text == "\n".join(chat.turns[at].content for at in (4, 5))
    question = Question("q", "number 7", (), {})
    assert list(by_words_asked(chat, question, size).kept) == ["t7"]


def test_rare_words_count_together_or_each():
    said_often = [Turn("user", "I am so very glad", id=f"t{n}") for n in range(20)]
    some = [Turn("user", "Zanzibar", id="one"), Turn("user", "I am so very glad of ginger tea", id="three")]
    chat = Chat("c", "made", (*said_often, *some))
    size = max(chat.sizes)
    assert list(by_rare_words(chat, size).kept) == ["three"]
    assert next(iter(by_rare_words_each(chat, chat.sizes[-2]).kept)) == "one"


def test_no_system_goes_over_its_budget_and_kept_spans_are_what_is_shown():
    ours, chat = GistMemory(LexicalCompressor()), _chat()
    question = chat.questions[0]
    systems = [
        ours.view,
        ours.turn_by_turn,
        keep_last,
        head_and_tail,
        at_random,
        by_words,
        by_rare_words,
        by_rare_words_each,
    ]
    for rate in RATES:
        budget = budget_of(chat, rate)
        found = [system(chat, budget) for system in systems]
        found += [system(chat, question, budget) for system in (ours.with_recall, by_words_asked)]
        assert max(shown.tokens for shown in found) <= budget
        texts = {turn.id: turn.content for turn in chat.turns}
        for shown in found:
            assert shown.kept
            for turn, spans in shown.kept.items():
                assert all(texts[turn][start:end] in shown.text for start, end in spans)


def test_recall_adds_what_was_asked_for_to_a_smaller_view():
    ours, chat = GistMemory(LexicalCompressor(), share=0.5), _chat()
    budget = budget_of(chat, 4)
    question = Question("q", "What of cat number 7?", (), {"t7": [Span(0, 19)]})
    shown = ours.with_recall(chat, question, budget)
    assert shown.kept["t7"][0].start == 0
    assert "number 7." in shown.text
    assert set(ours.view(chat, budget // 2).kept) <= set(shown.kept)


def test_the_last_turns_never_take_more_than_their_room_and_keep_a_call_with_its_result():
    call = Turn("assistant", id="b", tool_calls=(ToolCall("1", "look", "{}"),))
    turns = [
        Turn("user", "Hi.", id="a"),
        call,
        Turn("tool", "x", id="c", tool_call_id="1"),
        Turn("user", "So?", id="d"),
    ]
    assert last_turns(turns, [10, 10, 10, 10], 40) == 6
    assert last_turns(turns, [10, 10, 10, 10], 30) == 2
    assert last_turns(turns, [10, 10, 10, 10], 29) == 1
    assert last_turns(turns, [10, 10, 10, 10], 9) == 0


def test_nothing_is_read_twice_for_the_same_question():
    inner = LexicalCompressor()
    compressor = remembering(inner)
    whole = Budget(ratio=1.0, tokenizer=len)
    some = [Passage("a", "The cat sat."), Passage("b", "The dog ran.")]
    first = compressor.compress(some, query="cat", budget=whole)
    again = compressor.compress([Passage("z", "The cat sat.")], query="cat", budget=whole)
    assert (again[0].source_id, again[0].units) == ("z", first[0].units)
    assert sum(inner.batches) == 2
    compressor.compress([*some, Passage("c", "New.")], query="cat", budget=whole)
    assert sum(inner.batches) == 5
    compressor.compress(some, budget=whole)
    compressor.compress([*some, Passage("c", "New.")], budget=whole)
    assert sum(inner.batches) == 8


def test_the_report_shows_each_set_with_differences(tmp_path):
    ours, chat = GistMemory(LexicalCompressor()), _chat()
    rows_file = tmp_path / "rows.jsonl"
    free = {"gist": ours.view, "last turns": keep_last}
    run([chat], free, {"gist, view + recall": ours.with_recall, "bm25": by_words_asked}, rows_file)
    text = markdown(read_rows(rows_file))
    assert "## made, 1 conversations" in text
    assert "### evidence in the view, question unknown (%, 1)" in text
    assert "| gist less last turns |" in text
    assert "| gist, view + recall less bm25 |" in text
    assert "### values in the view by kind, 10x (%)" in text
    assert "Outputs over budget: 0 of " in text
    assert "nan" not in text


def test_gist_evaluate_memory_writes_rows_and_a_report(tmp_path):
    _write(tmp_path, [_record(n, "Who?" if n else None) for n in range(3)], "dstc8_sgd")
    model = save_tiny(tmp_path / "tiny")
    command = ["evaluate-memory", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--model", str(model)]
    result = CliRunner().invoke(app, [*command, "--set", "dstc8_sgd", "--alone"])
    assert result.exit_code == 0, result.output
    rows = read_rows(tmp_path / "out" / "rows.jsonl")
    assert len(rows) == len(RATES) * (3 * 2 + 2 * 2 + 2)
    assert not any(r["over"] for r in rows)
    assert (tmp_path / "out" / "report.md").read_text() == result.output.removesuffix("\n")
    missing = CliRunner().invoke(app, [*command, "--set", "nope", "--alone"])
    assert missing.exit_code == 2
    assert "nope" in missing.output
