"""What of tables is kept: questions about one row, over topics, names and words that no rating was learned from.

    python cookbook/runs/tables.py OUT [MODEL]

Needs the extra "evaluate". Two hundred calls, made up from a fixed seed, of one to three tables in six forms; evidence
is the row asked about. Rows go to OUT/rows.jsonl, the report to OUT/report.md, report.json and report.html.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gist_core.evaluation.report import write_report
from gist_core.evaluation.runner import run
from gist_core.evaluation.systems import load_system
from gist_core.loading import load_compressor
from gist_core.training.tables import Column, table_cases

_PEOPLE = (
    "Alice Brown, Omar Haddad, Wei Zhang, Ingrid Olsen, Pablo Ruiz, Grace Kim, Noah Weber, Amara Okafor, Mia Rossi"
)
_BOOKS = "Middlemarch, Dracula, Emma, Ulysses, Walden, Utopia, Candide, Hamlet, Ivanhoe, Kim, Persuasion"
_AIRPORTS = "Oslo, Zurich, Lisbon, Warsaw, Helsinki, Nairobi, Mumbai, Perth, Dallas, Chicago, Montreal, Havana"
_DRUGS = "ibuprofen, aspirin, codeine, insulin, heparin, warfarin, morphine, atropine, lidocaine, ketamine, digoxin"
_DAYS = "12 March, 3 April, 28 June, 7 July, 19 August, 30 September, 1 October, 22 November"


Value = Callable[[random.Random], str]


def _of(names: str, *, numbered: bool = False) -> Value:
    known = names.split(", ")
    return lambda rnd: rnd.choice(known) + (f" {rnd.randint(2, 60)}" if numbered else "")


def _between(low: int, high: int, unit: str = "") -> Value:
    return lambda rnd: f"{rnd.randint(low, high)}{unit}"


TOPICS = (
    (
        Column("Book", _of(_BOOKS, numbered=True)),
        Column("Borrower", _of(_PEOPLE), ("Who has {key} at home?", "Who took {key} out?")),
        Column("Due", _of(_DAYS), ("By when must {key} come back?",)),
        Column("Shelf", _between(1, 90), ("Where do I find {key}?",)),
        Column("Fine", _between(0, 30, " EUR"), ("What is owed for {key}?",)),
    ),
    (
        Column("Flight", lambda rnd: f"{rnd.choice(['LX', 'AY', 'QF', 'AC'])}{rnd.randint(10, 2000)}"),
        Column("Destination", _of(_AIRPORTS), ("Where does {key} go?", "To which town does {key} fly?")),
        Column("Gate", _between(1, 60), ("Where does one board {key}?",)),
        Column("Delay", _between(0, 240, " min"), ("How late is {key}?",)),
        Column("Captain", _of(_PEOPLE), ("Who is flying {key}?",)),
    ),
    (
        Column("Patient", _of(_PEOPLE, numbered=True)),
        Column("Drug", _of(_DRUGS), ("What does {key} take?", "Which medicine was given to {key}?")),
        Column("Dose", _between(5, 900, " mg"), ("How much does {key} get?",)),
        Column("Ward", _between(1, 20), ("Where does {key} lie?",)),
        Column("Admitted", _of(_DAYS), ("When did {key} come in?",)),
    ),
)


def main(out: Path, model: str) -> None:
    """Measure and report."""
    cases = [replace(case, set="tables", answers=[]) for case in table_cases(200, seed=101, topics=TOPICS)]
    names = ("bm25", "minilm sentences", "minilm sentences + passages")
    systems = {"gist": load_compressor(model), **{name: load_system(name) for name in names}}
    run(cases, systems, out / "rows.jsonl")
    write_report(out, lambda name: cases if name == "tables" else None, {"data": "tables.py", "model": model})
    print((out / "report.md").read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "default")
