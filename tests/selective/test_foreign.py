"""What other languages are read with: pieces, changed layers, heads; and English as it was."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.numpy import load_file, save_file

from gist_core import Budget, Passage, load_compressor
from gist_core.errors import CheckpointError
from gist_core.selective.engine import load_parts, save_parts
from gist_core.selective.foreign import BASIS, HEADS, OFFSET, ROWS, Foreign
from gist_core.selective.low_rank import DOWN, UP
from tests.helpers.facts import foreign
from tests.helpers.tiny import save_tiny

PIECES = ["在", "是", "б", "##б"]
LAYERS = ("shared.0.query", "interaction_branch.0.down")
TEXT = "The cat sat on the mat. Napoleon was born in Corsica. He liked cheese. A dog barked at iron."


def _foreign(model, size=1.0):
    torch.manual_seed(3)
    hidden = model.config.hidden_size
    tensors = {ROWS: torch.randn(3, len(PIECES)), BASIS: torch.randn(3, hidden), OFFSET: torch.randn(hidden)}
    for layer in LAYERS:
        weight = model.state_dict()[f"{layer}.weight"]
        tensors[layer + DOWN] = size * torch.randn(2, weight.shape[1])
        tensors[layer + UP] = size * torch.randn(2, weight.shape[0])
    tensors |= {name: model.state_dict()[name] + size * 0.1 for name in HEADS}
    return Foreign(PIECES, tensors)


@pytest.fixture
def plain(tmp_path):
    return save_tiny(tmp_path / "plain")


@pytest.fixture
def more(plain, tmp_path):
    parts = load_parts(plain)
    save_parts(tmp_path / "more", replace(parts, foreign=_foreign(parts.model)), "more", "1", int8=False)
    return tmp_path / "more"


def _kept(folder, text, query):
    [result] = load_compressor(str(folder), device="cpu").compress(
        [Passage("a", text)], query=query, budget=Budget(threshold=0.0)
    )
    return [unit.score for unit in result.units]


def test_a_checkpoint_keeps_what_it_reads_other_languages_with(plain, more):
    wanted, found = _foreign(load_parts(plain).model), load_parts(more).foreign
    assert list(found.pieces) == PIECES
    assert found.tensors.keys() == wanted.tensors.keys()
    assert all(torch.allclose(found.tensors[n], t, atol=1e-5) for n, t in wanted.tensors.items())
    assert load_parts(plain).foreign is None


def test_the_network_of_other_languages_is_the_base_with_the_changes(more):
    parts = load_parts(more)
    before = {n: t.clone() for n, t in parts.model.state_dict().items()}
    changed, tensors = parts.foreign.model(parts.model).state_dict(), parts.foreign.tensors
    rows = changed["embeddings.word.weight"]
    count = len(before["embeddings.word.weight"])
    assert torch.allclose(rows[count + 1], tensors[ROWS][:, 1] @ tensors[BASIS] + tensors[OFFSET], atol=1e-5)
    assert torch.equal(rows[:count], before["embeddings.word.weight"])
    touched = {f"{layer}.weight" for layer in LAYERS}
    for name in touched:
        layer = name.removesuffix(".weight")
        assert torch.allclose(changed[name] - before[name], tensors[layer + UP].T @ tensors[layer + DOWN], atol=1e-4)
    for name, tensor in before.items():
        assert torch.equal(parts.model.state_dict()[name], tensor), name
        if name not in touched | {"embeddings.word.weight", *HEADS}:
            assert torch.equal(changed[name], tensor), name


def test_the_tokenizer_gains_the_pieces_and_numbers_the_rest_as_before(more):
    parts = load_parts(more)
    wider = parts.foreign.tokenizer(parts.tokenizer)
    first = parts.tokenizer.get_vocab_size()
    assert wider.encode("在是", add_special_tokens=False).ids == [first, first + 1]
    assert wider.encode("бб", add_special_tokens=False).ids == [first + 2, first + 3]
    assert wider.encode(TEXT).ids == parts.tokenizer.encode(TEXT).ids


def test_a_call_in_english_is_not_touched(plain, more, tmp_path):
    parts = load_parts(plain)
    save_parts(tmp_path / "same", parts, "same", "1", int8=False)
    assert _kept(more, TEXT, "Where was Napoleon born?") == _kept(tmp_path / "same", TEXT, "Where was Napoleon born?")
    assert _kept(more, TEXT, None) == _kept(tmp_path / "same", TEXT, None)


def test_a_call_in_another_language_is_read_by_the_changed_network(plain, more, tmp_path):
    text, query = foreign(TEXT), foreign("Where was Napoleon born?")
    assert _kept(more, text, query) != _kept(plain, text, query)
    parts = load_parts(plain)
    unchanged = replace(parts, foreign=_foreign(parts.model, size=0.0))
    save_parts(tmp_path / "unchanged", unchanged, "unchanged", "1", int8=False)
    save_parts(tmp_path / "same", parts, "same", "1", int8=False)
    assert _kept(tmp_path / "unchanged", text, query) == pytest.approx(_kept(tmp_path / "same", text, query), abs=1e-5)


def test_both_kinds_of_calls_may_run_at_once(more):
    calls = [(TEXT, "Where was Napoleon born?"), (foreign(TEXT), foreign("Where was Napoleon born?"))] * 4
    alone = [_kept(more, *call) for call in calls]
    compressor = load_compressor(str(more), device="cpu")

    async def together():
        import asyncio

        budget = Budget(threshold=0.0)
        found = [compressor.acompress([Passage("a", text)], query=query, budget=budget) for text, query in calls]
        return [[unit.score for unit in results[0].units] for results in await asyncio.gather(*found)]

    import asyncio

    for got, wanted in zip(asyncio.run(together()), alone, strict=True):
        assert got == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("lost", [ROWS, BASIS, LAYERS[0] + UP, HEADS[0]])
def test_a_checkpoint_that_lacks_a_part_says_so(more, lost):
    weights = more / "model.safetensors"
    save_file({n: t for n, t in load_file(weights).items() if n != f"foreign.{lost}"}, weights)
    with pytest.raises(CheckpointError):
        _kept(more, foreign(TEXT), foreign("Where was Napoleon born?"))
