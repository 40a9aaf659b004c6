"""`gist train languages` on a tiny checkpoint and a made-up script: it learns, and English stays bit for bit."""

from __future__ import annotations

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from typer.testing import CliRunner

from gist_core import Budget, Passage, load_compressor
from gist_core.cases import load_cases
from gist_core.checkpoint import stored_tensors
from gist_core.cli import app
from gist_core.selective.engine import load_parts
from gist_core.selective.low_rank import DOWN, UP, factored
from gist_core.training import adapting, export, languages, steps
from gist_core.training.adapting import adapt, adapted, characters_missing
from gist_core.training.cotrain.recipe import parts_with
from gist_core.training.deepening import deepened
from gist_core.training.languages import LanguagesRecipe, train_languages
from gist_core.training.vocabulary import reachable, renumbered
from tests.helpers.facts import fact, foreign, write_facts
from tests.helpers.tiny import save_tiny, tiny_tokenizer

TEXT = "The iron barked. A cat was born in 1005. He sat."


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_facts(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(languages, "LANGUAGES_MIX", {"foreign": 24})
    monkeypatch.setattr(languages, "VALIDATION_MIX", {"foreign": 8})
    monkeypatch.setitem(export.CASES, "foreign", {"foreign": 12})


@pytest.fixture
def trained(data, tmp_path):
    start = save_tiny(tmp_path / "start")
    options = ["--data", data, "--out", tmp_path / "run", "--start", start, "--steps", 3, "--version", "9"]
    result = CliRunner().invoke(app, ["train", "languages", *map(str, options)])
    assert result.exit_code == 0, result.output
    return start, tmp_path / "run"


def test_the_command_writes_a_checkpoint_that_reads_english_as_before(trained):
    start, run = trained
    before, after = stored_tensors(start), stored_tensors(run / "checkpoint")
    old, new = load_parts(start), load_parts(run / "checkpoint")
    kept = reachable(old.tokenizer)
    cut = {"model.embeddings.word.weight": kept, "model.embeddings.word.weight.int8_scale": kept}
    for name, tensor in before.items():
        if ".foreign." in name:
            continue
        wanted = tensor[cut.get(name, slice(None))]
        assert np.array_equal(after[name], wanted), name
    assert new.ratings["query"].exponent == old.ratings["query"].exponent
    assert read(old.tokenizer, TEXT) == read(new.tokenizer, TEXT)
    results = [
        load_compressor(str(folder), device="cpu").compress(
            [Passage("a", TEXT)], query="When was the cat born?", budget=Budget(tokens=10)
        )
        for folder in (start, run / "checkpoint")
    ]
    assert [r.units for r in results[0]] == [r.units for r in results[1]]
    assert results[1][0].model == "tiny@9"


def read(tokenizer: Tokenizer, text: str) -> list[str]:
    return tokenizer.encode(text).tokens


def test_it_learns_what_other_languages_are_read_with(trained):
    _, run = trained
    parts = load_parts(run / "checkpoint")
    letters = {p for p in parts.foreign.pieces if len(p) == 1}
    assert letters >= set(foreign("whenborn"))
    assert all(bool(t.abs().sum() > 0) for n, t in parts.foreign.tensors.items() if n.endswith("low_rank_up"))
    rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows] == [1, 2, 3]
    assert "validation_mixed" in rows[-1]
    [result] = load_compressor(str(run / "checkpoint"), device="cpu").compress(
        [Passage("a", foreign(TEXT))], query=foreign("When was the cat born?"), budget=Budget(ratio=0.5)
    )
    assert 0 < result.usage.tokens_out <= result.usage.tokens_in / 2


@pytest.mark.parametrize("lent", [0, 1])
def test_what_was_learned_reads_as_the_model_that_learned_it(lent, tmp_path, monkeypatch):
    """What ships, merged, gives what training saw, but for the smallest of the changes."""
    monkeypatch.setattr(adapting, "KEPT_RANK", adapting.RANK)
    start = load_parts(save_tiny(tmp_path / "start", int8=False))
    if lent:
        start = deepened(start, start.model.config.branch_layers + lent)
    torch.manual_seed(5)
    pieces = ["а", "##а", "б"]
    model = adapt(copy.deepcopy(start.model), start.tokenizer, pieces).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter), alpha=float("word" not in name))
        merged = adapted(model, pieces).model(start.model)
        first = start.tokenizer.get_vocab_size()
        ids = torch.tensor([[2, 9, first, first + 1, 12, first + 2, 3]])
        mask = torch.ones_like(ids, dtype=torch.bool)
        query = torch.tensor([[2, first, 8, 3]])
        for got, wanted in zip(_outputs(merged, query, ids, mask), _outputs(model, query, ids, mask), strict=True):
            assert torch.allclose(got, wanted, atol=1e-4)


@pytest.mark.parametrize("lent", [0, 1])
def test_layers_of_the_embedding_branch_do_not_change(lent, tmp_path):
    start = load_parts(save_tiny(tmp_path / "start", int8=False))
    if lent:
        start = deepened(start, start.model.config.branch_layers + lent)
    config = start.model.config
    changed = adapted(adapt(start.model, start.tokenizer, ["а"]), ["а"]).tensors
    layers = {tuple(name.split(".")[:2]) for name in changed if name.endswith(DOWN)}
    parts = ("shared", config.shared_layers), ("interaction_branch", config.branch_layers)
    assert layers == {(part, str(number)) for part, count in parts for number in range(count)}


def test_what_goes_on_changes_the_layers_that_were_changed(tmp_path):
    start = load_parts(save_tiny(tmp_path / "start", int8=False))
    first = adapted(adapt(copy.deepcopy(start.model), start.tokenizer, ["а"]), ["а"])
    longer = deepened(replace(start, foreign=first), start.model.config.branch_layers + 1)
    again = adapted(adapt(longer.model, longer.tokenizer, ["а"], longer.foreign), ["а"])
    assert set(again.tensors) == set(longer.foreign.tensors)


def test_a_checkpoint_that_reads_other_languages_goes_on_from_there(data, tmp_path, trained):
    _, run = trained
    start = load_parts(run / "checkpoint")
    model = adapt(start.model, start.tokenizer, start.foreign.pieces, start.foreign)
    assert_same(adapted(model, start.foreign.pieces), start.foreign)
    recipe = LanguagesRecipe(steps=1, examples_per_step=4)
    learned = train_languages(data, tmp_path / "on", load_parts(run / "checkpoint"), recipe)
    assert learned.pieces == start.foreign.pieces
    assert learned.rank == start.foreign.rank == adapting.KEPT_RANK
    with pytest.raises(AssertionError):
        assert_same(learned, start.foreign)


def assert_same(some, others):
    """The same tensors, of the low-rank changes the same products."""
    for name, tensor in others.tensors.items():
        if name.endswith(DOWN):
            up = name.removesuffix(DOWN) + UP
            assert torch.allclose(some.tensors[up].T @ some.tensors[name], others.tensors[up].T @ tensor, atol=1e-6)
        elif not name.endswith(UP):
            assert torch.allclose(some.tensors[name], tensor, atol=1e-6)


def _outputs(model, query, ids, mask):
    found = model(model.encode_query(query), ids, mask)
    return found.keep, found.relevance, found.embeddings


def test_a_resumed_run_ends_as_an_uninterrupted_one(data, tmp_path, monkeypatch):
    start = load_parts(save_tiny(tmp_path / "start"))
    recipe = LanguagesRecipe(steps=4, examples_per_step=4, save_every=2)
    whole = train_languages(data, tmp_path / "whole", start, recipe)
    save = steps.save_state

    def stop_after_two(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(steps, "save_state", stop_after_two)
        with pytest.raises(KeyboardInterrupt):
            train_languages(data, tmp_path / "parts", start, recipe)
    resumed = train_languages(data, tmp_path / "parts", start, recipe)
    rows = [json.loads(line) for line in (tmp_path / "parts" / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows[-2:]] == [3, 4]
    assert all(torch.allclose(resumed.tensors[n], t, atol=1e-6) for n, t in whole.tensors.items())


def test_of_a_change_the_largest_parts_are_kept():
    generator = torch.Generator().manual_seed(4)
    up, down = torch.randn(4, 20, generator=generator), torch.randn(4, 12, generator=generator)
    whole = up.T @ down
    wide, narrow = (factored(whole, rank) for rank in (4, 2))
    assert torch.allclose(wide[0].T @ wide[1], whole, atol=1e-5)
    assert [tuple(t.shape) for t in narrow] == [(2, 20), (2, 12)]
    sizes = torch.linalg.svdvals(whole)
    assert torch.allclose((whole - narrow[0].T @ narrow[1]).norm(), sizes[2:4].norm(), atol=1e-4)


def test_a_copy_that_is_trained_on_leaves_what_fits_the_old_weights(trained):
    parts = load_parts(trained[1] / "checkpoint")
    assert parts.foreign is not None
    assert parts_with(parts, granularity="word").foreign is None


def test_a_part_of_a_file_is_a_set_of_its_own(tmp_path):
    records = [{**fact(n), "id": f"many_{part}-{n}"} for n in range(1000, 1040) for part in ("aa", "bb")]
    (tmp_path / "many.jsonl").write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    cases = load_cases(tmp_path, "many/aa", "train")
    assert 0 < len(cases) == len({c.id for c in cases})
    assert {c.set for c in cases} == {"many/aa"}
    assert all(c.id.startswith("many_aa-") for c in cases)
    assert len(load_cases(tmp_path, "many", "train")) == 2 * len(cases)


def test_only_characters_that_are_missing_get_pieces():
    found = characters_missing([["cat ж是жжж", "是。"], ["是"]], tiny_tokenizer(), 10)
    assert found == ["是", "ж", "##ж", "。"]
    assert characters_missing([["cat ж是жжж"]], tiny_tokenizer(), 1) == ["ж"]


def test_pieces_that_no_text_comes_to_are_left_out():
    tokenizer = Tokenizer.from_str(tiny_tokenizer().to_str())
    content = json.loads(tokenizer.to_str())
    first = len(content["model"]["vocab"])
    content["model"]["vocab"] |= {"##是": first, "##.": first + 1, "É": first + 2, "是": first + 3}
    wider = Tokenizer.from_str(json.dumps(content))
    kept = reachable(wider)
    dropped = {p for p, i in wider.get_vocab().items() if i not in set(kept.tolist())}
    assert {"##是", "##.", "É"} <= dropped
    assert "是" not in dropped
    smaller = renumbered(wider, kept)
    for text in (TEXT, "是的. É5.2"):
        assert read(smaller, text) == read(wider, text)
