"""How time is measured: fresh texts, turn about, bounded; the machine and the memory of a process of its own."""

from __future__ import annotations

import json

import pytest

from gist_core import Budget, Passage
from gist_core.errors import InvalidInputError
from gist_core.evaluation import speed
from gist_core.evaluation.fresh import LONGEST_SENTENCE, FreshTexts
from gist_core.evaluation.host import machine_name, peak_memory
from gist_core.evaluation.rows import read_rows
from gist_core.evaluation.speed import RANDOM, exponent, run_speed
from gist_core.evaluation.speed_cases import CASES, LONG_CASES, SpeedCase, of_length
from gist_core.segment import segments
from gist_core.tokens import token_counter
from tests.helpers.lexical import LexicalCompressor

TEXTS = [
    "The committee met in Geneva on Monday. It discussed the budget of 1,200 euros, and nobody disagreed with it.",
    "Ann asked for a new kitchen! Why did the parcel arrive so late? The harbour was closed for most of the week.",
]
COUNT = token_counter("cl100k_base").count


class Clock:
    """A compressor whose every call takes ``pace`` seconds a token, by a clock of its own, and keeps what it got."""

    def __init__(self, monkeypatch, pace=0.0, name="clock"):
        self.pace, self.model_id, self.calls = pace, name, []
        monkeypatch.setattr(speed.time, "perf_counter", lambda: Clock.now)

    def compress(self, passages, *, query, budget, keep=(), allow_empty=False):
        self.calls.append((passages, query, budget))
        Clock.now += self.pace * COUNT("\n\n".join(p.text for p in passages))
        return []

    now = 0.0


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(Clock, "now", 0.0)
    return lambda pace=0.001, name="clock": Clock(monkeypatch, pace, name)


@pytest.mark.parametrize("size", [1, 7, 100, 1_000])
def test_passages_have_the_size_asked_for(size):
    fresh = FreshTexts(TEXTS)
    assert [len(p.text.split()) for p in fresh.of_words(size, 3)] == pytest.approx([size] * 3, rel=0.02)
    tokens = [COUNT(p.text) for p in fresh.of_tokens(size, 3)]
    assert tokens == pytest.approx([size] * 3, rel=0.08, abs=3)


def test_no_passage_and_no_sentence_comes_twice():
    texts = [f"{text} Number {n} of them came by ship, and the others by train." for n in range(30) for text in TEXTS]
    fresh = FreshTexts(texts)
    passages = [p.text for _ in range(5) for p in fresh.of_tokens(200, 4)]
    assert len(set(passages)) == 20
    # A drawn sentence has one of its some 13 words exchanged for one of some 70: a few meet by chance.
    found = [t[s.span.start : s.span.end] for t in passages for s in segments(t)]
    assert len(set(found)) > 0.9 * len(found)


def test_the_same_seed_draws_the_same_and_paragraphs_stay_short():
    first, again = FreshTexts(TEXTS, seed=3), FreshTexts(TEXTS, seed=3)
    assert first.of_tokens(500) == again.of_tokens(500)
    assert first.query() == again.query()
    assert len(first.of_tokens(2_000)[0].text.split("\n\n")) > 10


@pytest.mark.parametrize("texts", [[], [""], ["One"], ["word " * (LONGEST_SENTENCE + 1)]])
def test_texts_without_sentences_are_told(texts):
    with pytest.raises(InvalidInputError, match="no sentences"):
        FreshTexts(texts)


def test_every_system_gets_the_same_texts_and_other_ones_each_time(clock, tmp_path):
    one, two = clock(), clock()
    case = SpeedCase("small", 2, 50, least=3, most=3)
    rows = run_speed({"one": one, "two": two}, tmp_path / "speed.jsonl", TEXTS, cases=[case])
    assert [c[0] for c in one.calls] == [c[0] for c in two.calls]
    assert len({p.text for c in one.calls for p in c[0]}) == 8  # one warm call and three
    assert len({c[1] for c in (*one.calls, *two.calls)}) == 8  # and a question each
    assert [r["calls"] for r in rows] == [3, 3]
    assert rows == read_rows(tmp_path / "speed.jsonl")


def test_what_a_row_says(clock, tmp_path):
    system = clock(0.01, f"any ({RANDOM}), {RANDOM}")
    (row,) = run_speed({"any": system}, tmp_path / "s.jsonl", TEXTS, cases=[SpeedCase("small", 3, 40, "words")])
    tokens = sorted(COUNT("\n\n".join(p.text for p in c[0])) for c in system.calls[1:])
    assert row["tokens_in"] == pytest.approx(tokens[len(tokens) // 2], abs=2)
    assert row["p50_ms"] == pytest.approx(10 * row["tokens_in"], rel=0.02)
    assert row["p50_ms"] <= row["p99_ms"] <= 10 * tokens[-1] + 1e-6
    assert row["tokens_per_second"] == pytest.approx(100, rel=0.02)
    assert (row["system"], row["name"], row["passages"], row["weights"]) == ("any", "small", 3, "random")
    assert row["machine"] == machine_name()
    assert row["peak_mib"] is None
    assert "left_out" not in row
    assert all(len(p.text.split()) == pytest.approx(40, abs=1) for c in system.calls for p in c[0])


@pytest.mark.parametrize(("pace", "calls"), [(0.001, 30), (0.05, 12), (0.1, 5)])
def test_as_many_calls_as_the_time_allows(clock, tmp_path, pace, calls):
    (row,) = run_speed({"any": clock(pace)}, tmp_path / "s.jsonl", TEXTS, cases=[SpeedCase("any", 1, 100)])
    assert row["calls"] == pytest.approx(calls, abs=1)


def test_what_takes_too_long_is_left_out_and_said_and_not_even_tried_again(clock, tmp_path):
    slow, fast = clock(0.05), clock(0.001)
    cases = [SpeedCase("short", 1, 100), of_length(1_000), of_length(50_000)]
    rows = run_speed({"slow": slow, "fast": fast}, tmp_path / "s.jsonl", TEXTS, cases=cases)
    found = {(r["system"], r["name"]): r for r in rows}
    assert found["slow", "short"]["calls"] >= 5
    for name in ("1,000 tokens", "50,000 tokens"):
        row = found["slow", name]
        assert (row["calls"], row["p50_ms"], row["tokens_per_second"]) == (0, None, None)
        assert row["left_out"].startswith("5 calls would take ")
        assert row["left_out"].endswith(" s, above 60 s.")
        assert found["fast", "1,000 tokens"]["calls"] == 30
    assert max(COUNT(c[0][0].text) for c in slow.calls) < 200


def test_long_cases_are_for_those_named_and_the_last_has_its_memory(clock, tmp_path, monkeypatch):
    measured = []
    monkeypatch.setattr(speed, "peak_memory", lambda system, passages, query, budget: measured.append(system) or 7.0)
    one, two = clock(), clock()
    long = [of_length(300, least=1, seconds=900.0), of_length(900, least=1)]
    rows = run_speed(
        {"one": one, "two": two}, tmp_path / "s.jsonl", TEXTS, cases=CASES[:1], longest=["two"], long_cases=long
    )
    assert [(r["system"], r["name"], r["peak_mib"]) for r in rows[2:]] == [
        ("two", "300 tokens", None),
        ("two", "900 tokens", 7.0),
    ]
    assert measured == [two]


def test_the_exponent_is_that_of_the_lengths(clock, tmp_path):
    cases = [*CASES[:3], *(of_length(n) for n in (500, 1_000, 2_000))]
    rows = run_speed({"linear": clock(0.0005)}, tmp_path / "s.jsonl", TEXTS, cases=cases)
    assert exponent(rows, "linear") == pytest.approx(1.0, abs=0.01)
    square = [{**row, "p50_ms": row["tokens_in"] ** 2} for row in rows]
    assert exponent(square, "linear") == pytest.approx(2.0)
    assert exponent(rows, "another") is None
    assert exponent(rows[:4], "linear") is None


def test_a_file_of_an_earlier_measurement_is_replaced(clock, tmp_path):
    out = tmp_path / "new" / "speed.jsonl"
    for _ in range(2):
        run_speed({"any": clock()}, out, TEXTS, cases=[SpeedCase("small", 1, 30, most=5)])
    assert len([json.loads(line) for line in out.read_text().splitlines()]) == 1


def test_the_lengths_go_up_to_a_million_tokens():
    sizes = [case.size for case in (*CASES, *LONG_CASES) if case.passages == 1 and case.unit == "tokens"]
    assert sizes == [1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000]
    assert all(case.least >= 5 for case in CASES)


def test_the_machine_is_named():
    import torch

    assert f"{torch.get_num_threads()} threads, torch {torch.__version__}" in machine_name()


@pytest.mark.slow
def test_memory_is_that_of_a_fresh_process():
    mine = bytearray(b"x") * (300 * 2**20)
    small, large = (
        peak_memory(LexicalCompressor(), [Passage("1", TEXTS[0], {"carried": "x" * (mib * 2**20)})], None, budget)
        for mib, budget in ((0, Budget(ratio=0.5)), (80, Budget(ratio=0.5)))
    )
    assert 70 < large - small < 350  # it comes pickled, so it is there more than once on the way
    assert 10 < small < len(mine) / 2**20
