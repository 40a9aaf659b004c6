"""No value in the output that the source has not: of every piece that is kept, for any question and budget."""

from __future__ import annotations

from pathlib import Path

import pytest

from gist_core import Budget, Passage, load_compressor
from gist_core.evaluation.entities import entities

SPEECHES = sorted((Path(__file__).parents[2] / "cookbook" / "data" / "speeches").glob("*.txt"))
PASSAGES = [Passage(path.stem, path.read_text(encoding="utf-8")[:4_000]) for path in SPEECHES[:3]]


@pytest.mark.parametrize("query", ["How many million dollars, and when?", "Who was the first?", None])
@pytest.mark.parametrize("tokens", [9, 40, 300, 2_000])
def test_no_piece_holds_a_value_that_the_source_has_not(query, tokens) -> None:
    results = load_compressor().compress(PASSAGES, query=query, budget=Budget(tokens=tokens))
    pieces = [(p.text, p.text[a:b]) for p, r in zip(PASSAGES, results, strict=True) for a, b in r.kept or ()]
    assert pieces
    assert [piece for source, piece in pieces if entities(source, piece)[1]] == []
