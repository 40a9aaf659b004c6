"""What gists come to: every one read as if it were alone, whatever is read beside it."""

from __future__ import annotations

import json

import pytest

from gist_core.training.cotrain import measure
from gist_core.training.cotrain.controls import head, tail
from gist_core.training.cotrain.episodes import Episode
from gist_core.training.cotrain.measure import FULL, LOCAL, Readers, measure_gists
from gist_core.training.cotrain.scoring import Frame
from tests.helpers.tiny_causal import speech_tokenizer, tiny_causal

FRAME = Frame(speech_tokenizer(), "\n\n")
TEACHER = tiny_causal("llama", len(speech_tokenizer())).eval()
EPISODES = [
    Episode("We chose in 1961 to go to the moon, not because it costs 5.2 billion.", "The cost", " is high."),
    Episode("Peace is a process, a way of solving problems.\nIt is not a dream.", "So let us", " persevere."),
]


def _rows(out, generator):
    makers = {"head": head(FRAME), "tail": tail(FRAME)}
    return measure_gists(Readers(TEACHER, generator, FRAME), makers, EPISODES, (0.2, 0.5), out)


@pytest.mark.parametrize("together", [1, 3, 100])
def test_what_is_read_together_changes_no_number(tmp_path, monkeypatch, together):
    generator = tiny_causal("llama", len(speech_tokenizer()), seed=6).eval()
    usual = _rows(tmp_path / "rows.jsonl", generator)
    monkeypatch.setattr(measure, "_TOGETHER", together)
    found = _rows(tmp_path / "rows.jsonl", generator)
    names = [(e, s, r) for e in (0, 1) for s, r in [(LOCAL, 0.0), (FULL, 1.0)]]
    assert [(r["episode"], r["system"], r["rate"]) for r in found if r["system"] in (LOCAL, FULL)] == names
    for row, other in zip(found, usual, strict=True):
        assert row.pop("system") == other["system"]
        assert row == pytest.approx({k: v for k, v in other.items() if k != "system"}, rel=1e-3, abs=1e-5)
    written = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text().splitlines()]
    assert [row["system"] for row in written] == [row["system"] for row in usual]


def test_the_whole_context_read_by_the_teacher_itself_costs_nothing(tmp_path):
    rows = _rows(tmp_path / "rows.jsonl", TEACHER)
    assert rows[0]["values"] >= 2
    for row in rows:
        if row["system"] == FULL:
            assert row["kl"] == pytest.approx(0.0, abs=1e-5)
            assert row["values_kept"] == row["values"]
        if row["system"] == LOCAL:
            assert row["gain"] == 0.0
