"""Records whose questions have evidence, as a file of a data folder."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gist_core.cases import Case
from gist_core.passage import Passage, Span
from gist_core.segment import segments
from gist_core.training import export, recipe

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


def foreign(text: str) -> str:
    """The text, as long, in letters of which no English vocabulary makes words."""
    return text.translate({latin: ord("\u0430") + latin % 32 - 1 for latin in map(ord, string.ascii_letters)})


def foreign_fact(number: int) -> dict:
    found = fact(number)
    documents = [{**d, "text": foreign(d["text"])} for d in found["documents"]]
    return {**found, "query": foreign(found["query"]), "documents": documents}


def write_facts(folder: Path) -> Path:
    for name, make in (("facts", fact), ("foreign", foreign_fact)):
        lines = [json.dumps(make(n)) for n in range(1000, 1120)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return folder


def as_plain_tables(cases: Sequence[Case], seed: int) -> list[Case]:
    """The units as rows between tabs, in words that the tiny tokenizer knows: others it would take for a language."""
    found = []
    for case in cases:
        said = [[p.text[s.span.start : s.span.end] for s in segments(p.text)] for p in case.passages]
        texts = ["\n".join(f"{unit}\tthe cat sat" for unit in ("the cat", *units)) for units in said]
        places = [(text, text.find("A ")) for text in texts]
        evidence = [[Span(at, text.index("\n", at))] if at >= 0 else [] for text, at in places]
        passages = [Passage(p.id, text) for p, text in zip(case.passages, texts, strict=True)]
        found.append(replace(case, passages=passages, evidence=evidence))
    return found


def mix_of_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of ``gist train selective`` learn from, and are rated by, a few facts instead of the sets of the mix."""
    for name in ("SELECTIVE_MIX", "VALIDATION_MIX"):
        monkeypatch.setattr(recipe, name, {"facts": 24})
    monkeypatch.setattr(export, "COUNTED", ("facts",))
    for mode, name in (("query", "facts"), ("foreign", "foreign"), ("free", "facts"), ("rows", "facts")):
        monkeypatch.setitem(export.CASES, mode, {name: 12})
    monkeypatch.setattr(export, "TABLES", 0)
    monkeypatch.setattr(export, "as_tables", as_plain_tables)
