"""The quality measurement of the default model: which sets, which systems. ``gist evaluate`` runs it."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from gist_core.allocation import Allocation
from gist_core.budget import Budget
from gist_core.cases import Case, load_cases
from gist_core.compressor import TextCompressor
from gist_core.encoders import DEFAULT_ENCODER, default_encoder
from gist_core.evaluation.baselines import MiniLM, Scores, bm25, head, select
from gist_core.evaluation.report import markdown
from gist_core.evaluation.runner import System, read_rows, run
from gist_core.passage import Compressed
from gist_core.records import Split
from gist_core.selective.compressor import SelectiveCompressor

SETS: dict[str, int | None] = {
    "nq20_even": None,
    "nolicence_squadshifts_new_wiki_10doc": 110,
    "hotpotqa_train100": None,
    "covidqa": 30,
    "fairytaleqa": 50,
    "qmsum_train": 16,
}


def model_system(compressor: TextCompressor) -> System:
    """The model as a system; a selective one scores a case once and chooses under each budget."""

    def system(case: Case, budgets: Sequence[Budget]) -> list[Allocation]:
        if isinstance(compressor, SelectiveCompressor):
            return compressor.allocations(case.passages, case.query, budgets)
        return [_allocation(compressor.compress(case.passages, query=case.query, budget=b)) for b in budgets]

    return system


def _allocation(results: Sequence[Compressed]) -> Allocation:
    kept = [list(r.kept or ()) for r in results]
    return Allocation(kept, [r.usage.tokens_in for r in results], [r.usage.tokens_out for r in results])


def baselines() -> dict[str, System]:
    """The systems measured beside the model; those of all-MiniLM-L6-v2 where it is installed."""
    scores: dict[str, Scores] = {"head": head, "bm25": bm25}
    if find_spec(DEFAULT_ENCODER):
        mini = MiniLM(str(default_encoder()))
        scores |= {"minilm sentences": mini.sentence, "minilm sentences + passages": mini.sentence_and_passage}
    return {name: _system(score) for name, score in scores.items()}


def _system(score: Scores) -> System:
    return lambda case, budgets: select(case, budgets, score)


def measure(data: Path, out: Path, systems: dict[str, System], sets: dict[str, int | None], split: Split) -> str:
    """Run the systems over the sets, append rows to ``out/rows.jsonl``, write and return ``out/report.md``."""
    rows = out / "rows.jsonl"
    for name, limit in sets.items():
        run(load_cases(data, name, split, limit), systems, rows)
    text = markdown(read_rows(rows))
    (out / "report.md").write_text(text, encoding="utf-8")
    return text
