"""Records whose questions have evidence, as a file of a data folder."""

from __future__ import annotations

import json
import random
from pathlib import Path

NAMES = ["Napoleon", "cat", "dog", "cheese", "iron", "mat"]


def fact(number: int) -> dict:
    rng = random.Random(number)
    name = rng.choice(NAMES)
    texts = [f"The {rng.choice(NAMES)} sat. He liked the mat." for _ in range(3)]
    fact = f"A {name} was born in {number}."
    texts[1] = f"The iron barked. {fact} He sat."
    start = texts[1].index(fact)
    return {
        "id": str(number),
        "query": f"When was the {name} born?",
        "documents": [{"id": f"d{i}", "title": f"{number}", "text": t} for i, t in enumerate(texts)],
        "answers": [str(number)],
        "evidence": [
            {"doc": "d1", "start": start, "end": start + len(fact), "kind": "sentence"},
            {"doc": "d1", "start": start + len(fact) - 5, "end": start + len(fact) - 1, "kind": "answer"},
        ],
    }


def write_facts(folder: Path) -> Path:
    lines = [json.dumps(fact(n)) for n in range(1000, 1120)]
    (folder / "facts.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder
