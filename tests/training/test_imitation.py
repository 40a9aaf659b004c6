"""A rating that imitates another's: what a call of its kind keeps stays, whatever the network behind it became."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gist_core.cli import app
from gist_core.errors import InvalidInputError
from gist_core.selective.engine import load_parts, save_parts, start_engine
from gist_core.selective.fusion import SIGNALS, Calibration, Rating, untrained
from gist_core.training import export
from gist_core.training.fusion import Rated
from gist_core.training.imitation import imitation
from tests.helpers.facts import write_facts
from tests.helpers.tiny import save_tiny

MODE = "free"


def rated(count: int, seed: int) -> Rated:
    signals = np.random.default_rng(seed).normal(size=(count, len(SIGNALS))).astype(np.float32)
    return Rated("facts", signals, np.ones(count, np.float32), np.ones(count, np.float32))


def test_what_signals_can_say_is_imitated_exactly_and_the_rest_as_nearly_as_they_can():
    cases = [rated(6, seed) for seed in range(12)]
    weights = np.arange(len(SIGNALS), dtype=np.float32) - 4
    noise = np.random.default_rng(99)
    for spread in (0.0, 0.5):
        more = [spread * noise.normal(size=6).astype(np.float32) for _ in cases]
        wanted = [c.signals @ weights - 2.5 + m for c, m in zip(cases, more, strict=True)]
        fusion = imitation(cases, wanted)
        lost = np.concatenate([fusion(c.signals) - w for c, w in zip(cases, wanted, strict=True)])
        assert np.square(lost).sum() <= np.square(np.concatenate(more)).sum() + 1e-4
        assert abs(lost.mean()) < 1e-3
        assert np.abs(lost @ np.concatenate([c.signals for c in cases])).max() < 1e-2  # the least squares there are


def test_every_set_counts_alike():
    many, one = [rated(1, seed) for seed in range(30)], replace(rated(1, 0), set="other")
    same = [replace(c, signals=np.zeros_like(c.signals)) for c in [*many, one]]
    fusion = imitation(same, [np.zeros(1, np.float32)] * 30 + [np.ones(1, np.float32)])
    assert fusion(same[0].signals)[0] == pytest.approx(0.5, abs=1e-4)


def test_other_units_are_refused():
    with pytest.raises(InvalidInputError, match="different units"):
        imitation([rated(3, 0)], [np.zeros(2, np.float32)])


def test_a_rating_is_imitated_by_a_command(tmp_path, monkeypatch):
    monkeypatch.setitem(export.CASES, MODE, {"facts": 12})
    data = write_facts(tmp_path)
    other = load_parts(save_tiny(tmp_path / "first", int8=False))
    told = Rating(untrained(), 0.3, Calibration(0.5, -1.0))
    save_parts(tmp_path / "other", other.with_rating(MODE, told), "other", "1", int8=False)
    with torch.no_grad():  # the network of the one that imitates says half as much, in keep and relevance
        for head in (other.model.keep_head, other.model.relevance_head):
            head.weight.mul_(0.5)
            head.bias.mul_(0.5)
    save_parts(tmp_path / "changed", other, "changed", "1", int8=False)
    options = ["--data", data, "--model", tmp_path / "changed", "--like", tmp_path / "other"]
    found = CliRunner().invoke(app, ["train", "rating", *map(str, options), "--mode", MODE, "--version", "2"])
    assert found.exit_code == 0, found.output
    learned, shown = (load_parts(tmp_path / name) for name in ("changed", "other"))
    assert learned.ratings[MODE].length_exponent == 0.3
    assert learned.ratings[MODE].calibration == told.calibration
    cases = [export.rated_cases(start_engine(p, "cpu"), data, MODE, 13) for p in (learned, shown)]
    wanted = np.concatenate([told.fusion(then.signals) for then in cases[1]])
    kept, imitated = (
        np.concatenate([rating.fusion(now.signals) for now in cases[0]]) for rating in (told, learned.ratings[MODE])
    )
    assert np.abs(imitated - wanted).mean() < 0.1 * np.abs(kept - wanted).mean()
