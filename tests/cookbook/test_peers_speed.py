"""The script behind the speed table beside LLMLingua-2, in small."""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from gist_core.evaluation.speed import run_speed
from gist_core.evaluation.speed_cases import CASES, SpeedCase
from gist_core.evaluation.systems.llmlingua_shapes import SHAPES, Shape
from tests.helpers.lexical import LexicalCompressor

SCRIPT = Path(__file__).parents[2] / "cookbook" / "runs" / "peers_speed.py"
TINY = {
    "vocab_size": 400,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


@pytest.fixture(scope="module")
def script():
    spec = spec_from_file_location("peers_speed", SCRIPT)
    module = module_from_spec(spec)
    sys.modules["peers_speed"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["peers_speed"]


def row(system, name, tokens, milliseconds, **settings):
    return {
        "system": system,
        "name": name,
        "tokens_in": tokens,
        "passages": 1,
        "p50_ms": milliseconds,
        "tokens_per_second": milliseconds and 1000 * tokens / milliseconds,
        "peak_mib": None,
        "machine": "any",
        **settings,
    }


def test_the_card_says_how_many_times_faster_and_how_time_grows(script):
    passages = script.BESIDE.name
    rows = [
        row(script.OURS, passages, 2_000, 100.0, passages=20),
        row("small", passages, 2_000, 4_000.0, passages=20),
        row("large", passages, 2_000, None, passages=20, left_out="5 calls would take 999 s, above 900 s."),
        row(script.OURS, "1,000 tokens", 1_000, 50.0),
        row(script.OURS, "10,000 tokens", 10_000, 500.0, peak_mib=812.4),
    ]
    found = script.card(rows)
    assert found["tokens_per_second"] == {script.OURS: 20_000, "small": 500}
    assert found["times_faster_than"] == {"small": 40.0}
    assert found["p50_ms"] == {passages: 100.0, "1,000 tokens": 50.0, "10,000 tokens": 500.0}
    assert found["exponent"] == 1.0
    assert found["peak_memory_mib"] == 812
    assert found["left_out"] == [f"large, {passages}: 5 calls would take 999 s, above 900 s."]
    short = script.card(rows[:2])
    assert (short["exponent"], short["peak_memory_mib"], short["left_out"]) == (None, None, [])


def test_the_case_beside_the_peers_is_one_of_those_that_all_systems_get(script):
    assert script.BESIDE.name in {case.name for case in CASES}
    assert (script.BESIDE.passages, script.BESIDE.size) == (20, 100)
    assert len(script.speeches()) == 9


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llmlingua") is None, reason="llmlingua is not installed")
def test_the_peers_run_beside_another_system(script, tmp_path):
    texts = [text[:20_000] for text in script.speeches()]
    systems = {
        script.OURS: LexicalCompressor(),
        **script.peers({"small": Shape(SHAPES["small"].published, "bert", TINY)}, texts, tmp_path / "models"),
    }
    case = SpeedCase(script.BESIDE.name, 3, 40, least=2, most=2)
    rows = run_speed(systems, tmp_path / "speed.jsonl", texts, cases=[case])
    assert [(r["system"], r["weights"], r["calls"]) for r in rows] == [
        (script.OURS, "trained", 2),
        ("llmlingua-2-small", "random", 2),
        ("llmlingua-2-small, joined", "random", 2),
    ]
    assert set(script.card(rows)["times_faster_than"]) == {"llmlingua-2-small", "llmlingua-2-small, joined"}
