from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from gist_core import Budget, Passage, load_compressor
from gist_core.cli import app
from gist_core.errors import InvalidInputError
from gist_core.selective.engine import Parts, load_parts, save_parts
from gist_core.selective.fusion import MODES, Rating, untrained
from gist_core.training.adapting import adapt, adapted
from gist_core.training.deepening import deepened
from tests.helpers.facts import mix_of_facts, write_facts
from tests.helpers.tiny import save_tiny, tiny_model, tiny_tokenizer

QUERY, TEXT = torch.tensor([[2, 40, 41, 3]]), torch.tensor([[2, 50, 51, 52, 3], [2, 53, 54, 3, 0]])
MASK = TEXT > 0


def start() -> Parts:
    """Two shared layers, branches of one."""
    return Parts(tiny_model(), tiny_tokenizer(), {mode: Rating(untrained()) for mode in MODES})


@torch.no_grad()
def with_foreign(parts: Parts) -> Parts:
    """The same with changes, as if learned, for a language of one letter."""
    model = adapt(copy.deepcopy(parts.model), parts.tokenizer, ["а"])
    torch.manual_seed(4)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.normal_(std=0.1)
    return replace(parts, foreign=adapted(model, ["а"]))


@pytest.mark.parametrize("layers", [2, 3])
@torch.no_grad()
def test_a_longer_interaction_leaves_the_cosines_and_the_start_as_they_are(layers):
    parts = start()
    before = {name: tensor.clone() for name, tensor in parts.model.state_dict().items()}
    longer = deepened(parts, layers)
    assert (len(longer.model.shared), longer.model.config.shared_layers) == (3 - layers, 3 - layers)
    assert len(longer.model.interaction_branch) == len(longer.model.embedding_branch) == layers
    assert longer.model.config.lent_layers == layers
    old, new = (m(m.encode_query(QUERY), TEXT, MASK) for m in (parts.model, longer.model))
    assert torch.allclose(old.embeddings[MASK], new.embeddings[MASK], atol=1e-6)
    assert not torch.allclose(old.keep[MASK], new.keep[MASK], atol=1e-3)
    longer.model.interaction_branch[0].up.weight.add_(1.0)
    for name, tensor in parts.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert torch.equal(longer.model.embedding_branch[0].up.weight, before[f"shared.{3 - layers}.up.weight"])


@pytest.mark.parametrize("layers", [2, 3])
@torch.no_grad()
def test_what_other_languages_are_read_with_moves_with_the_layers(layers):
    parts = with_foreign(start())
    longer = deepened(parts, layers)
    old, new = (p.foreign.model(p.model) for p in (parts, longer))
    before, after = (m(m.encode_query(QUERY), TEXT, MASK).embeddings[MASK] for m in (old, new))
    assert torch.allclose(before, after, atol=1e-6)
    plain = parts.model(parts.model.encode_query(QUERY), TEXT, MASK).embeddings[MASK]
    assert not torch.allclose(before, plain, atol=1e-3)
    for number, layer in enumerate(new.interaction_branch):
        lender = (*old.shared[3 - layers :], *old.interaction_branch)[number]
        assert torch.equal(layer.up.weight, lender.up.weight)


@pytest.mark.parametrize("layers", [-1, 0, 1, 4])
def test_a_number_of_layers_that_cannot_be_is_named(layers):
    with pytest.raises(InvalidInputError, match=f"branch_layers is {layers}.*have 1 of 3 layers.*Choose 2 to 3"):
        deepened(start(), layers)


def test_an_interaction_of_all_layers_cannot_be_longer():
    with pytest.raises(InvalidInputError, match=r"have 3 of 3 layers.*cannot be longer"):
        deepened(deepened(start(), 3), 3)


@pytest.mark.parametrize("layers", [2, 3])
def test_what_is_saved_reads_and_chooses(tmp_path, layers):
    save_parts(tmp_path / "longer", deepened(start(), layers), "longer", "1", int8=True)
    [found] = load_compressor(str(tmp_path / "longer"), device="cpu").compress(
        [Passage("a", "The cat sat on the mat. A dog barked at iron.")], query="Who sat?", budget=Budget(tokens=8)
    )
    assert 0 < found.usage.tokens_out <= 8


def test_a_run_goes_on_with_a_longer_interaction(tmp_path, monkeypatch):
    mix_of_facts(monkeypatch)
    data, folder = write_facts(tmp_path), save_tiny(tmp_path / "english", int8=False)
    save_parts(tmp_path / "start", with_foreign(load_parts(folder)), "start", "1", int8=False)
    folder = tmp_path / "start"
    options = ["train", "selective", "--data", data, "--start", folder, "--branch-layers", 2, "--steps", 2]
    found = CliRunner().invoke(app, [*map(str, options), "--out", str(tmp_path / "run")])
    assert found.exit_code == 0, found.output
    written, began = (load_parts(f) for f in (tmp_path / "run" / "full-precision", folder))
    after, before = written.model, began.model
    assert written.foreign.pieces == began.foreign.pieces
    name = "shared.0.up.low_rank_down"
    assert torch.equal(written.foreign.tensors[name], began.foreign.tensors[name])
    assert (after.config.shared_layers, after.config.branch_layers) == (1, 2)
    frozen, learned = (getattr(after, b)[0].up.weight for b in ("embedding_branch", "interaction_branch"))
    assert torch.equal(frozen, before.shared[1].up.weight)
    assert not torch.equal(learned, frozen)
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert rows[0]["free"] > 0  # from the start as it is, not from the same layers divided otherwise
    assert np.array_equal(written.ratings["free"].fusion.linear, began.ratings["free"].fusion.linear)
