from __future__ import annotations

from gist_core.cases import Case
from gist_core.evaluation.rows import read_rows
from gist_core.evaluation.systems import load_system
from gist_core.evaluation.thresholds import THRESHOLDS, run_thresholds, thresholds_table
from gist_core.passage import Passage


def _case(number: int, answer: str) -> Case:
    text = f"The weather was fine. Captain Nemo was born in {number}. He liked the sea and his ship."
    return Case(str(number), "facts", "When was Nemo born?", [Passage("d", text)], [answer], [[]])


def test_rows_hold_every_threshold_and_a_run_goes_on(tmp_path):
    out = tmp_path / "thresholds.jsonl"
    cases = [_case(1801, "1801"), _case(1802, "1802"), _case(1803, "not there")]
    run_thresholds(load_system("bm25"), cases[:1], out)
    run_thresholds(load_system("bm25"), cases, out)
    rows = read_rows(out)
    assert [row["id"] for row in rows] == ["1801", "1802"]
    for row in rows:
        sizes = [size for _, size in row["kept"]]
        assert len(sizes) == len(THRESHOLDS)
        assert sizes == sorted(sizes, reverse=True)


def test_the_table_counts_answers_and_tokens():
    rows = [
        {"set": "a", "id": "1", "kept": [(True, 0.5)] * len(THRESHOLDS)},
        {"set": "a", "id": "2", "kept": [(False, 0.1)] * len(THRESHOLDS)},
    ]
    assert "| a (2) | 50.0 (0-100) / 30 |" in thresholds_table(rows)
