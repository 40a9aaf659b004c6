"""A small language model from nothing but a few texts."""

from __future__ import annotations

import json
import random
from functools import lru_cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from gist_core.errors import CheckpointError, InvalidInputError
from gist_core.evaluation.causal import CausalModel
from gist_core.training.hub import load_causal
from gist_core.training.lm import recipe
from gist_core.training.lm.bpe import END, GIST, train_bpe
from gist_core.training.lm.model import LmShape, build_lm
from gist_core.training.lm.muon import Muon, orthogonalised
from gist_core.training.lm.optimizers import optimizers, scale_rates, trapezoid
from gist_core.training.lm.recipe import LmRecipe, train_lm
from gist_core.training.lm.windows import drawn, echoes, pack
from tests.helpers.tiny_causal import cpu_only, speech_tokenizer

SHAPE = LmShape(width=32, layers=2, heads=2, positions=128)
RECIPE = LmRecipe(shape=SHAPE, vocabulary=300, length=32, steps=12, batch=4, save_every=4, held_windows=6)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    rng = random.Random(1)
    words = ["the", "moon", "rises", "over", "a", "quiet", "river", "and", "nobody", "sees", "it", "."]
    for n in range(30):
        (folder / f"{n}.txt").write_text(" ".join(rng.choices(words, k=80)), encoding="utf-8")
    return folder


def _rows(out):
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        cpu_only(patch)
        assert train_lm(data, out, RECIPE) == out / "checkpoint"
    return out


def test_the_loss_falls_on_both_sides(trained):
    rows = _rows(trained)
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]
    held = [row["held_loss"] for row in rows if "held_loss" in row]
    assert len(held) == 3
    assert held == sorted(held, reverse=True)
    assert rows[-1]["held_perplexity"] == pytest.approx(np.exp(held[-1]), rel=1e-3)


def test_a_resumed_run_ends_as_an_uninterrupted_one(trained, data, tmp_path, monkeypatch):
    choose = recipe.drawn

    def stop(count, size, seed, step):
        if step == 8:
            raise KeyboardInterrupt
        return choose(count, size, seed, step)

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "drawn", stop)
        with pytest.raises(KeyboardInterrupt):
            train_lm(data, tmp_path, RECIPE)
    assert not (tmp_path / "checkpoint").exists()
    train_lm(data, tmp_path, RECIPE)
    assert _rows(tmp_path) == _rows(trained)
    whole, resumed = (AutoModelForCausalLM.from_pretrained(out / "checkpoint") for out in (trained, tmp_path))
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=1e-6), name


def test_the_checkpoint_opens_with_transformers_and_as_a_reader(trained):
    folder = str(trained / "checkpoint")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    own = CausalModel(folder, device="cpu")
    learner, also = load_causal(folder)
    ids = torch.tensor([tokenizer("the moon rises", add_special_tokens=False)["input_ids"]])
    assert also("the moon rises", add_special_tokens=False)["input_ids"] == ids[0].tolist()
    assert own.tokenizer("the moon rises", add_special_tokens=False)["input_ids"] == ids[0].tolist()
    with torch.no_grad():
        expected = model(input_ids=ids).logits
        assert torch.allclose(own.model(input_ids=ids).logits, expected, atol=1e-5)
        assert torch.allclose(learner(input_ids=ids).logits, expected, atol=1e-5)
    assert own.positions == 128
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (END, END, END)
    assert tokenizer.convert_tokens_to_ids(GIST) == 1
    assert json.loads((trained / "recipe.json").read_text(encoding="utf-8"))["shape"]["width"] == 32


def test_a_corpus_that_is_too_small_is_refused(tmp_path):
    for n in range(30):
        (tmp_path / f"{n}.txt").write_text("short", encoding="utf-8")
    with pytest.raises(InvalidInputError, match="less than 700 tokens") as caught:
        train_lm(tmp_path, tmp_path / "run", LmRecipe(shape=SHAPE, vocabulary=300, length=700, steps=1))
    assert caught.value.hint


def test_no_model_is_named_with_a_hint(tmp_path):
    with pytest.raises(CheckpointError, match="No language model at") as caught:
        load_causal(str(tmp_path / "none"))
    assert caught.value.hint


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@lru_cache
def _reloaded(folder):
    return AutoTokenizer.from_pretrained(folder)


@settings(max_examples=200)
@given(st.one_of(TEXT, st.sampled_from([f" {GIST}", END + END, "a\r\n\tb  c ", " , .", "\u0000\ufffd\ufeff"])))
def test_every_text_comes_back_byte_for_byte(text):
    tokenizer = speech_tokenizer()
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert not {tokenizer.eos_token_id, 1} & set(ids)


def test_a_saved_tokenizer_is_the_same(trained):
    tokenizer = _reloaded(str(trained / "checkpoint"))
    for text in ("the moon", " it 's", "\u4e2d\u6587 \U0001f600\n", f"a {GIST} b"):
        ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        assert tokenizer.decode(ids) == text


def test_a_vocabulary_has_its_size_and_every_byte():
    tokenizer = train_bpe(["the moon the moon rises"] * 3, 262)
    assert len(tokenizer) == 262
    assert (
        tokenizer("the", add_special_tokens=False)["input_ids"]
        != tokenizer(" the", add_special_tokens=False)["input_ids"]
    )


def test_windows_hold_the_texts_one_after_another():
    tokenizer = speech_tokenizer()
    texts = ["We choose to go to the moon.", f"A {END} in a text", "", "x" * 50]
    windows = pack(texts, tokenizer, 8)
    assert windows.shape[1] == 8
    stream = windows.ravel().tolist()
    whole = [i for t in texts for i in (tokenizer.eos_token_id, *tokenizer(t, split_special_tokens=True)["input_ids"])]
    assert stream == whole[: len(stream)]
    assert len(whole) - len(stream) < 8
    assert pack([], tokenizer, 8).shape == (0, 8)


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 5))
def test_every_window_is_seen_once_before_any_is_seen_again(count, size, seed):
    steps = -(-count // size)
    seen = np.concatenate([drawn(count, size, seed, step) for step in range(steps)])
    assert len(seen) == steps * size
    assert sorted(seen[:count].tolist()) == list(range(count))
    assert np.array_equal(drawn(count, size, seed, 1), drawn(count, size, seed, 1))


@pytest.mark.parametrize(("length", "short"), [(200, 64), (64, 64), (32, 32), (33, 33)])
def test_an_echo_says_the_same_again_in_another_order(length, short):
    rows = np.arange(5 * length, dtype=np.int32).reshape(5, length)
    found = echoes(rows, np.random.default_rng(1))
    assert found.shape == (5 * (length // short), short)
    half = short // 2
    firsts = rows[:, : length // short * short].reshape(-1, short)[:, :half]
    assert np.array_equal(found[:, :half], firsts)
    assert np.array_equal(np.sort(found[:, half : 2 * half], axis=1), firsts)
    assert np.array_equal(found, echoes(rows, np.random.default_rng(1)))
    if half > 24:
        assert not np.array_equal(found[:, half : 2 * half], firsts)


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 8, 40), (2, 40, 8), (1, 1, 9)])
def test_an_update_has_singular_values_near_one(shape):
    torch.manual_seed(0)
    found = orthogonalised(torch.randn(shape) * torch.tensor([1e-3, 1.0, 50.0])[: shape[0], None, None])
    values = torch.linalg.svdvals(found)
    assert found.shape == shape
    assert values.min() > 0.3
    assert values.max() < 1.35
    assert values.median() > 0.65
    assert orthogonalised(torch.zeros(1, 4, 4)).eq(0).all()


@pytest.mark.parametrize("size", [(8, 8), (32, 8), (8, 32)])
def test_muon_steps_by_its_learning_rate(size):
    torch.manual_seed(1)
    one, other, idle = (torch.nn.Parameter(torch.randn(size)) for _ in range(3))
    before = [p.detach().clone() for p in (one, other, idle)]
    muon = Muon([one, other, idle], lr=0.1)
    one.grad, other.grad = torch.randn(size), 1_000 * torch.randn(size)
    muon.step()
    bound = 0.1 * max(1.0, size[0] / size[1]) ** 0.5
    for parameter, start in ((one, before[0]), (other, before[1])):
        assert torch.linalg.matrix_norm(parameter.detach() - start, ord=2) == pytest.approx(bound, rel=0.35)
    assert torch.equal(idle, before[2])


def test_muon_goes_downhill_and_decays():
    torch.manual_seed(2)
    goal, weight = torch.randn(6, 6), torch.nn.Parameter(torch.zeros(6, 6))
    muon = Muon([weight], lr=0.1)
    losses = []
    for step in range(60):
        scale_rates((muon,), trapezoid(step, 60, 0.1, 0.5))
        loss = (weight - goal).square().sum()
        losses.append(loss.item())
        muon.zero_grad()
        loss.backward()
        muon.step()
    assert losses[-1] < 0.2 * losses[0]
    still = torch.nn.Parameter(torch.ones(4, 4))
    still.grad = torch.zeros(4, 4)
    Muon([still], lr=0.5, weight_decay=0.1).step()
    assert torch.allclose(still, torch.full((4, 4), 0.95))


def test_matrices_go_to_muon_and_the_rest_to_adam():
    model = build_lm(SHAPE, 300, 0, 1)
    model.model.layers[0].ffn_norm.weight.requires_grad_(False)
    muon, adam = optimizers(model, matrices=0.1, rest=0.2, weight_decay=0.0)
    of_muon, of_adam = ({id(p) for g in o.param_groups for p in g["params"]} for o in (muon, adam))
    named = dict(model.named_parameters())
    assert of_muon == {id(p) for n, p in named.items() if p.ndim == 2 and "embed" not in n}
    assert of_muon | of_adam == {id(p) for p in named.values() if p.requires_grad}
    assert not of_muon & of_adam


def test_rates_rise_stay_and_fall():
    factors = [trapezoid(step, 100, 0.1, 0.4) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9:61] == [1.0] * 52
    assert 0 < factors[-1] < 0.05
    assert factors[60:] == sorted(factors[60:], reverse=True)


def test_layers_convolve_and_attend_in_turn():
    model = build_lm(LmShape(width=32, layers=5, heads=2, positions=64), 300, 0, 1)
    assert model.config.layer_types == ["conv", "full_attention", "conv", "full_attention", "conv"]
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    again = build_lm(LmShape(width=32, layers=5, heads=2, positions=64), 300, 0, 1)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert LmShape(width=256).inner == 704
