from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from gist_core.errors import CheckpointError
from gist_core.selective import lent
from gist_core.selective.config import SelectiveConfig
from gist_core.selective.engine import Parts, load_parts, save_parts
from gist_core.selective.fusion import MODES, Rating, untrained
from gist_core.selective.low_rank import DOWN, UP
from gist_core.selective.model import SelectiveModel
from tests.helpers.tiny import tiny_model, tiny_tokenizer

LENT = "interaction_branch.0.up.weight"
OWN = "interaction_branch.1.up.weight"


def changed() -> SelectiveModel:
    """Branches of two layers, the first of the interaction a little other than the one it is from."""
    config = replace(tiny_model().config, shared_layers=1, branch_layers=2, lent_layers=1)
    torch.manual_seed(3)
    model = SelectiveModel(config).eval()
    with torch.no_grad():
        state = model.state_dict()
        for name, tensor in model.embedding_branch[0].state_dict().items():
            state[f"interaction_branch.0.{name}"].copy_(tensor + 0.02 * torch.randn(tensor.shape))
    return model


def parts_of(model: SelectiveModel) -> Parts:
    return Parts(model, tiny_tokenizer(), {mode: Rating(untrained()) for mode in MODES})


def test_what_is_lent_is_stored_as_a_change_and_comes_back(tmp_path):
    model = changed()
    save_parts(tmp_path, parts_of(model), "lent", "1", int8=False)
    stored = load_file(tmp_path / "model.safetensors")
    assert f"model.{OWN}" in stored
    assert f"model.{LENT}" not in stored
    assert {f"model.{LENT.removesuffix('.weight')}{part}" for part in (UP, DOWN)} <= set(stored)
    found = load_parts(tmp_path).model
    assert found.config == model.config
    for name, tensor in model.state_dict().items():
        assert torch.allclose(found.state_dict()[name], tensor, atol=1e-5), name


def test_of_a_change_the_largest_parts_are_stored(monkeypatch):
    monkeypatch.setattr(lent, "RANK", 3)
    model = changed()
    state = model.state_dict()
    stored = lent.without_lent(state, model.config)
    back = lent.with_lent(stored, model.config)
    change = state[LENT] - state["embedding_branch.0.up.weight"]
    sizes = torch.linalg.svdvals(change)
    assert stored[LENT.removesuffix(".weight") + UP].shape == (3, 64)
    assert stored[LENT.removesuffix(".weight") + DOWN].shape == (3, 32)
    assert torch.allclose((back[LENT] - state[LENT]).norm(), sizes[3:].norm(), atol=1e-4)
    assert set(back) == set(state)
    assert all(torch.equal(back[n], state[n]) for n in state if not n.startswith("interaction_branch.0"))


def test_a_network_that_lends_nothing_is_stored_as_it_is():
    model = tiny_model()
    assert model.config.lent_layers == SelectiveConfig().lent_layers == 0
    stored = lent.without_lent(model.state_dict(), model.config)
    assert all(torch.equal(stored[n], t) for n, t in model.state_dict().items())
    assert set(stored) == set(model.state_dict())


@pytest.mark.parametrize("part", [UP, DOWN])
def test_a_change_that_is_missing_is_a_damaged_checkpoint(tmp_path, part):
    save_parts(tmp_path, parts_of(changed()), "lent", "1", int8=True)
    path = tmp_path / "model.safetensors"
    stored = load_file(path)
    lost = f"model.interaction_branch.0.query{part}"
    save_file({name: tensor for name, tensor in stored.items() if name != lost}, path)
    with pytest.raises(CheckpointError, match="does not fit together"):
        load_parts(tmp_path)
