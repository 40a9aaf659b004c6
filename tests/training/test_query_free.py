"""The mode without a query, trained by itself: what it changes, and above all what it does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gist_core import Budget, Passage, load_compressor
from gist_core.cli import app
from gist_core.selective.engine import load_parts, save_parts
from gist_core.selective.model import ASKED, FREE
from gist_core.training.cotrain.query_free import _bins, _most
from gist_core.training.export import CASES
from tests.helpers.facts import write_facts
from tests.helpers.tiny import save_tiny
from tests.helpers.tiny_causal import cpu_only, save_causal, speech_tokenizer, write_speeches

PASSAGES = [
    Passage("a", "Napoleon was born in 1769. The cat sat on the mat. He liked the cheese."),
    Passage("b", "The iron barked at the dog. A mat was made in 1812. The dog sat."),
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(start, trained): folders of two checkpoints."""
    root = tmp_path_factory.mktemp("free")
    (root / "facts").mkdir()
    texts, lm = write_speeches(root / "texts"), save_causal(root / "lm", "llama", speech_tokenizer())
    start = save_tiny(root / "start")
    where = ["--data", texts, "--questions", write_facts(root / "facts"), "--model", lm]
    sizes = ["--context", 64, "--local", 8, "--future", 16, "--steps", 3]
    with pytest.MonkeyPatch.context() as patch:
        cpu_only(patch)
        patch.setitem(CASES, "free", {"facts": 12})
        args = ["train", "query-free", *where, "--start", start, "--out", root / "out", *sizes]
        result = CliRunner().invoke(app, [str(a) for a in args])
    assert result.exit_code == 0, result.output
    return start, root / "out" / "checkpoint"


def test_all_that_a_call_with_a_query_reads_stays_as_it_was(trained):
    before, after = map(load_parts, trained)
    old, new = before.model.state_dict(), after.model.state_dict()
    assert all(torch.allclose(old[k], new[k], atol=1e-6) for k in old if not k.startswith("keep_head"))
    for name in ("keep_head.weight", "keep_head.bias"):
        assert torch.equal(old[name][ASKED], new[name][ASKED])
        assert not torch.equal(old[name][FREE], new[name][FREE])
    for mode in ("query", "foreign"):
        old_rating, new_rating = before.ratings[mode], after.ratings[mode]
        assert old_rating.length_exponent == new_rating.length_exponent
        assert old_rating.calibration == new_rating.calibration
        assert all(
            np.array_equal(getattr(old_rating.fusion, f), getattr(new_rating.fusion, f))
            for f in ("mean", "linear", "hidden")
        )
    assert not np.array_equal(before.ratings["free"].fusion.linear, after.ratings["free"].fusion.linear)


@pytest.mark.parametrize("tokens", [6, 12, 20])
def test_a_call_with_a_query_keeps_the_same(trained, tokens):
    old, new = (load_compressor(str(folder)) for folder in trained)
    for query in ("When was Napoleon born?", "mat"):
        found = [c.compress(PASSAGES, query=query, budget=Budget(tokens=tokens)) for c in (old, new)]
        assert [x.kept for x in found[0]] == [x.kept for x in found[1]]
    for result in new.compress(PASSAGES, query=None, budget=Budget(tokens=tokens)):
        assert result.model == "gist-selective@2.0"


def test_a_checkpoint_of_one_head_serves_both_modes(trained, tmp_path):
    parts = load_parts(trained[1])
    asked = parts.model.keep_head.weight.detach()[[ASKED]]
    parts.model.keep_head = torch.nn.Linear(asked.shape[1], 1)
    with torch.no_grad():
        parts.model.keep_head.weight.copy_(asked)
    save_parts(tmp_path / "older", parts, "older", "1.0", int8=True)
    assert torch.equal(load_parts(tmp_path / "older").model.keep_head.weight, asked.repeat(2, 1))
    older = load_compressor(str(tmp_path / "older"))
    assert all(r.text for r in older.compress(PASSAGES, query=None, budget=Budget(ratio=0.5, scope="each")))


def test_what_was_looked_at_most_is_evidence_until_a_quarter_of_the_tokens_is_reached():
    assert _most(np.array([1.0, 5.0, 3.0, 2.0]), np.array([10.0, 10.0, 10.0, 10.0])).tolist() == [0, 1, 0, 0]
    assert _most(np.array([1.0, 5.0, 3.0]), np.array([60.0, 10.0, 30.0])).tolist() == [0, 1, 1]
    assert _most(np.array([2.0]), np.array([7.0])).tolist() == [1]


def test_the_distance_from_the_end_is_counted_in_sixteenths():
    assert _bins([0, 50, 99], 100).tolist() == [15, 8, 0]
    assert _bins([0], 1).tolist() == [15]
