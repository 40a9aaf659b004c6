"""Rows of tables have a rating of their own in calls with a question; all else is rated as without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gist_core import Budget, Passage, load_compressor
from gist_core.selective.engine import load_parts, save_parts
from gist_core.selective.fusion import Rating
from tests.helpers.tiny import save_tiny

ROWS = "The cat sat.\n\nname,iron\nThe dog,5 kg\nThe cat,2 kg\n\nHe liked cheese."


def scores(folder, query: str | None) -> dict[str, float]:
    passages = [Passage("a", ROWS)]
    [result] = load_compressor(str(folder), device="cpu").compress(passages, query=query, budget=Budget(ratio=1.0))
    return {ROWS[unit.start : unit.end]: unit.score for unit in result.units}


@pytest.mark.parametrize(("query", "moved"), [("dog?", {"The dog,5 kg", "The cat,2 kg"}), (None, set())])
def test_rows_alone_are_rated_by_it(tmp_path, query, moved) -> None:
    parts = load_parts(save_tiny(tmp_path / "tiny"))
    plain = parts.ratings["query"].fusion
    other = Rating(replace(plain, bias=plain.bias + np.float32(2.0)))
    save_parts(tmp_path / "other", parts.with_rating("rows", other), "tiny", "2", int8=True)
    before, after = scores(tmp_path / "tiny", query), scores(tmp_path / "other", query)
    assert {unit for unit in before if before[unit] != after[unit]} == moved


PLACES = {
    "Alice Grant": "Oslo",
    "Omar Khan": "Rome",
    "Wei Lin": "Cork",
    "Ingrid Moe": "Bern",
    "Pablo Sanz": "Lyon",
    "Grace Kim": "Graz",
    "Noah Weber": "Porto",
    "Mia Rossi": "Leeds",
    "Ravi Rao": "Ghent",
    "Eve Hart": "Malmo",
}
LINES = {name: f"{name},{town},{30 + at}" for at, (name, town) in enumerate(PLACES.items())}


@pytest.mark.parametrize("name", PLACES)
def test_the_default_finds_the_row_of_a_name(name) -> None:
    text = "\n".join(["name,town,age", *LINES.values()])
    [result] = load_compressor().compress(
        [Passage("a", text)], query=f"Where does {name} live?", budget=Budget(tokens=24)
    )
    assert LINES[name] in result.text
