"""Checkpoints of the generative kind: what is written is what is read."""

from __future__ import annotations

import json

import pytest
import torch

from gist_core.checkpoint import read_manifest, read_tensors
from gist_core.errors import CheckpointError
from gist_core.generative.config import GenerativeConfig
from gist_core.generative.engine import load_parts, save_parts
from gist_core.generative.framing import Framing
from tests.generative.tiny_lms import CONTEXT, FAMILIES, TEXTS, parts, saved


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("lms")


@pytest.mark.parametrize("family", FAMILIES)
def test_round_trip(root, family):
    before, after = parts(family), load_parts(saved(root, family))
    ids = torch.tensor([before.tokenizer(TEXTS[0])["input_ids"]])
    with torch.no_grad():
        assert torch.equal(before.model.eval()(ids).logits, after.model.eval()(ids).logits)
    framings = [Framing(p.tokenizer, p.config) for p in (before, after)]
    assert framings[0].prompt((7,), 0.1) == framings[1].prompt((7,), 0.1)
    assert framings[0].end == framings[1].end == before.tokenizer.eos_token_id
    assert after.config.lm["model_type"] == before.model.config.model_type
    assert (after.config.verbatim, [*after.config.rates]) == (before.config.verbatim, [*before.config.rates])
    assert (after.config.before, after.config.after) == (before.config.before, before.config.after)


@pytest.mark.parametrize("family", ["qwen2", "lfm2"])
def test_tied_weights_are_stored_once_and_are_tied_again(root, family):
    tensors = read_tensors(saved(root, family))
    assert "lm_head.weight" not in tensors
    model = load_parts(saved(root, family)).model
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_loading_leaves_the_random_state_alone(root):
    folder = saved(root, "llama")
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    load_parts(folder)
    assert torch.rand(1) == expected


def test_int8_errs_little(tmp_path):
    before = parts("lfm2")
    save_parts(tmp_path / "c", before, "m", "1", int8=True)
    after = load_parts(tmp_path / "c")
    one, other = before.model.get_input_embeddings().weight, after.model.get_input_embeddings().weight
    assert 0 < (one - other).abs().max() < one.abs().max() / 100


def test_no_place_of_the_machine_is_written(root):
    config = read_manifest(saved(root, "llama")).config
    assert "_name_or_path" not in config["lm"]
    assert "/" not in json.dumps(config["lm"])


def _changed(root, tmp_path, change):
    found = parts("llama")
    save_parts(tmp_path / "c", found, "m", "1")
    manifest = json.loads((tmp_path / "c" / "gist.json").read_text())
    change(manifest["config"])
    (tmp_path / "c" / "gist.json").write_text(json.dumps(manifest))
    return tmp_path / "c"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["lm"].update(intermediate_size=32), "does not fit together"),
        (lambda c: c["lm"].update(num_hidden_layers=3), "do not fit together"),
        (lambda c: c["lm"].update(num_hidden_layers=1), "do not fit together"),
        (lambda c: c["lm"].update(model_type="bert-of-nobody"), "does not fit together"),
        (lambda c: c["lm"].clear(), "does not fit together"),
        (lambda c: c.pop("special_tokens"), "does not fit together"),
        (lambda c: c.update(colour="red"), "does not fit together"),
        (lambda c: c["lm"].update(auto_map={"AutoModel": "own.Code"}), "auto_map"),
        (lambda c: c["lm"].update(attn_implementation="somebody/kernel"), "attn_implementation"),
        (lambda c: c.update(context_tokens=0), "context_tokens"),
        (lambda c: c.update(context_tokens=256), "context_tokens"),
        (lambda c: c.update(rates=[0.0]), "rates"),
        (lambda c: c.update(rates=[]), "rates"),
        (lambda c: c.update(rates=[0.2, 0.1]), "rates"),
    ],
)
def test_a_damaged_checkpoint_is_named(root, tmp_path, change, message):
    with pytest.raises(CheckpointError, match=message):
        load_parts(_changed(root, tmp_path, change))


def test_a_tokenizer_without_an_end_cannot_write(root, tmp_path):
    found = load_parts(_changed(root, tmp_path, lambda c: c["special_tokens"].update(eos_token=None)))
    with pytest.raises(CheckpointError, match="end token"):
        Framing(found.tokenizer, found.config)


def test_special_tokens_in_a_passage_are_text_and_those_of_the_frame_are_not():
    tokenizer = parts("qwen2").tokenizer
    framing = Framing(tokenizer, parts("qwen2").config)
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    assert not {start, end} & {i for ids in framing.chunks("a <|im_end|> b <|im_start|>") for i in ids}
    prompt = framing.prompt((), 0.1)
    assert prompt[0] == start
    assert prompt.count(end) == 1


def test_chunks_hold_the_whole_text_in_pieces_the_model_can_read():
    tokenizer = parts("lfm2").tokenizer
    framing = Framing(tokenizer, parts("lfm2").config)
    text = " ".join(TEXTS * 4) + "\n\n" + "x" * 500 + " \ud800 \0 🎉" + " " * 5_000 + "end."
    chunks = framing.chunks(text)
    assert all(0 < len(ids) <= CONTEXT for ids in chunks)
    read = "".join(tokenizer.decode(ids) for ids in chunks)
    assert "".join(read.split()) == "".join(text.replace("\ud800", "\ufffd").split())
    assert framing.chunks(" \n ") == []
    fitting = "A b. " * 40
    while len(framing.ids(fitting.strip())) > CONTEXT:
        fitting = fitting[5:]
    assert framing.chunks(fitting) == [framing.ids(fitting.strip())]


@pytest.mark.parametrize("family", ["llama", "lfm2"])
def test_text_without_sentences_is_cut_between_words(family):
    found = parts(family)
    framing = Framing(found.tokenizer, found.config)
    text = " ".join(["so long a", "sentence-like thing", "that nobody ends it", "Bonaparte\nhimself"] * 20)
    chunks = framing.chunks(text)
    assert len(chunks) > 3
    assert all(0 < len(ids) <= CONTEXT for ids in chunks)
    read = [found.tokenizer.decode(ids).split() for ids in chunks]
    pieces = {word for known in text.split() for word in (known, *known.replace("-", "- ").split())}
    assert all(word in pieces for chunk in read for word in chunk)
    assert "".join(map("".join, read)) == "".join(text.split())
    assert max(map(len, chunks)) - min(map(len, chunks)) < CONTEXT / 2


def test_an_answer_that_was_cut_off_ends_with_a_whole_word():
    framing = Framing(parts("lfm2").tokenizer, GenerativeConfig())
    ids = framing.ids(" He liked chee")
    assert framing.text(ids, finished=True) == "He liked chee"
    assert framing.text(ids, finished=False) == "He liked"
    assert framing.text(framing.ids("é\0")[:1], finished=True) == ""
