"""The whole way on real text with tiny models as a hub has them: train, save, load, compress, measure."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch
from langchain_core.documents import Document
from llama_index.core.schema import NodeWithScore, TextNode
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from gist_core import Budget, Passage, load_compressor
from gist_core.checkpoint import EXTRACTOR, read_tensors
from gist_core.cli import app
from gist_core.generative.engine import load_parts as load_generative
from gist_core.generative.framing import Framing
from gist_core.training.cotrain.episodes import EpisodeSizes, read_episodes
from gist_core.training.cotrain.recipe import ASKED, BEHIND, INSTRUCTION
from gist_core.training.cotrain.scoring import Frame
from gist_core.training.cotrain.writer import Writer
from gist_core.training.hub import load_causal, merged, teacher_and_learner, with_lora
from langchain_gist import GistCompressor
from llamaindex_gist import GistNodePostprocessor
from tests.helpers.tiny import save_tiny
from tests.helpers.tiny_causal import (
    SPEECHES,
    cpu_only,
    plain_tokenizer,
    save_causal,
    speech_tokenizer,
    write_speeches,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),  # peft asks for it
]
SIZES = ["--context", "64", "--local", "8", "--future", "16"]
FEW = ["--steps", "2", "--warm-steps", "1", "--imitation-steps", "2", "--batch", "4", "--micro", "2"]
MORE = {
    ("selective", "llama"): [],
    ("selective", "qwen2"): ["--lora"],
    ("generative", "llama"): ["--gradient-checkpointing", "--verbatim", "--extract", "2"],
    ("generative", "qwen2"): ["--lora", "--frozen-generator"],
}
CONTROLS = ["head", "tail", "random words", "random sentences", "most surprising words", "rarest words (TF-IDF)"]


def _gist(*args):
    return CliRunner().invoke(app, ["train", *map(str, args)])


def _run(policy, family, *, causal, data, start, out):
    where = ["--data", data, "--model", causal[family], "--start", start, "--out", out]
    return ["cotrain", "--policy", policy, *where, *SIZES, *FEW]


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A corpus with three sides, a checkpoint to start from, and a language model of each family."""
    root = tmp_path_factory.mktemp("given")
    families = {"llama": speech_tokenizer(), "qwen2": plain_tokenizer()}
    causal = {family: save_causal(root / family, family, tokenizer) for family, tokenizer in families.items()}
    return SimpleNamespace(data=write_speeches(root / "texts"), causal=causal, start=save_tiny(root / "start"))


@pytest.fixture(scope="module")
def trained(given, tmp_path_factory):
    """Folder of the run of a policy and a family, trained at the first question."""
    root, done = tmp_path_factory.mktemp("runs"), {}

    def folder(policy, family):
        if (policy, family) not in done:
            out = root / f"{policy}-{family}"
            command = _run(policy, family, causal=given.causal, data=given.data, start=given.start, out=out)
            with pytest.MonkeyPatch.context() as patch:
                cpu_only(patch)
                result = _gist(*command, *MORE[policy, family])
            assert result.exit_code == 0, result.stderr
            done[policy, family] = out
        return done[policy, family]

    return folder


@pytest.fixture(params=MORE, ids="-".join)
def run(request, trained):
    return (*request.param, trained(*request.param))


def _passages():
    text = (SPEECHES / "1970-nixon.txt").read_text(encoding="utf-8")
    return [Passage("a", text[:1_500]), Passage("b", text[1_500:3_000])]


def test_a_checkpoint_compresses_within_its_budget(run):
    policy, family, out = run
    compressor = load_compressor(str(out / "checkpoint"), device="cpu")
    assert compressor.model_id == "gist-cotrained@1"
    found = compressor.compress(_passages(), budget=Budget(tokens=80))
    assert 0 < sum(r.usage.tokens_out for r in found) <= 80
    if policy == "selective" or "--verbatim" in MORE[policy, family]:
        for passage, result in zip(_passages(), found, strict=True):
            words = iter(passage.text.split())
            assert all(word in words for word in result.text.split())


def test_in_both_frameworks(run):
    _, _, out = run
    texts = [p.text for p in _passages()]
    documents = GistCompressor(model=out / "checkpoint", ratio=0.2, device="cpu", on_error="raise").compress_documents(
        [Document(t) for t in texts], "What of the states?"
    )
    assert documents
    nodes = GistNodePostprocessor(model=out / "checkpoint", ratio=0.2, device="cpu", on_error="raise")
    results = nodes.postprocess_nodes([NodeWithScore(node=TextNode(text=t)) for t in texts], query_str="States?")
    assert results
    for found in (documents, results):
        kept = sum(f.metadata["gist"]["tokens_out"] for f in found)
        assert kept <= 0.2 * sum(f.metadata["gist"]["tokens_in"] for f in found) + 1 or len(found) < len(texts)


def test_a_run_says_what_it_did(run, given):
    policy, family, out = run
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert "held_normalised_gain" in rows[-1]
    written = json.loads((out / "recipe.json").read_text(encoding="utf-8"))
    assert written["settings"]["steps"] == 2
    assert written["run"]["sizes"] == {"context": 64, "local": 8, "future": 16}
    assert "/" not in written["run"]["data"] + written["run"]["start"]
    assert (out / "curves.html").stat().st_size > 1_000
    generator, tokenizer = (kind.from_pretrained(out / "generator") for kind in (AutoModelForCausalLM, AutoTokenizer))
    assert generator.config.model_type == family
    assert not hasattr(generator, "peft_config")
    assert len(tokenizer) == 500
    before = AutoModelForCausalLM.from_pretrained(given.causal[family]).state_dict()
    after = generator.state_dict()
    assert before.keys() == after.keys()
    changed = max(float((before[k] - after[k]).abs().max()) for k in before)
    assert changed == 0 if policy == "generative" and family == "qwen2" else changed > 0


@pytest.mark.parametrize(("family", "knows"), [("llama", True), ("qwen2", False)])
def test_a_frame_in_training_is_the_frame_in_use(trained, family, knows):
    out = trained("generative", family)
    parts = load_generative(out / "checkpoint")
    assert (parts.config.before, parts.config.after) == (("", ASKED) if knows else (INSTRUCTION, BEHIND))
    assert parts.config.context_tokens == 64
    assert parts.config.rates == [0.05, 0.1, 0.2]
    assert parts.config.verbatim is knows
    assert parts.config.extract == (2.0 if knows else None)
    assert (out / "checkpoint" / EXTRACTOR).is_dir() is knows
    tokenizer = AutoTokenizer.from_pretrained(out / "generator")
    writer = Writer(torch.nn.Linear(1, 1), Frame(tokenizer, ""), parts.config.before, parts.config.after)
    framing = Framing(parts.tokenizer, parts.config)
    text = "We choose to go to the moon."
    assert writer.prompts([text] * 2, [0.05, 0.2]) == [list(framing.prompt(framing.ids(text), r)) for r in (0.04, 0.3)]
    assert writer.end == framing.end


def test_a_finished_run_is_gone_on_with_and_left_as_it_is(trained, given):
    out = trained("selective", "llama")
    before = (out / "log.jsonl").read_bytes()
    command = _run("selective", "llama", causal=given.causal, data=given.data, start=given.start, out=out)
    weights = (out / "checkpoint/model.safetensors").read_bytes()
    assert _gist(*command).exit_code == 0
    assert (out / "log.jsonl").read_bytes() == before
    assert (out / "checkpoint/model.safetensors").read_bytes() == weights


def test_a_writer_goes_on_from_what_an_earlier_run_left(trained, given, tmp_path):
    before = trained("generative", "llama") / "checkpoint"
    command = _run("generative", "llama", causal=given.causal, data=given.data, start=before, out=tmp_path)
    more = ["--steps", 1, "--warm-steps", 0, "--rate", 0.3, "--frozen-generator", "--policy-rate", 0]
    result = _gist(*command, *more)
    assert result.exit_code == 0, result.stderr
    old, new = (load_generative(folder) for folder in (before, tmp_path / "checkpoint"))
    assert new.config.rates == [0.05, 0.1, 0.2, 0.3]
    assert new.config.verbatim and new.config.after == old.config.after
    assert new.config.extract == 2.0
    chooses = [read_tensors(folder / EXTRACTOR) for folder in (before, tmp_path / "checkpoint")]
    assert chooses[0].keys() == chooses[1].keys()
    assert all((chooses[0][name] == chooses[1][name]).all() for name in chooses[0])
    weights = new.model.state_dict()
    assert all(torch.equal(weights[name], tensor) for name, tensor in old.model.state_dict().items())
    assert not (tmp_path / "imitation.jsonl").exists()


@pytest.mark.parametrize(
    ("policy", "family", "more", "hint"),
    [
        ("selective", "llama", [], "of kind 'selective'"),
        ("generative", "qwen2", [], "it was trained with"),
        ("generative", "llama", ["--extract", "2"], "leave it out"),
    ],
)
def test_a_writer_that_cannot_go_on_is_named_with_a_hint(trained, given, tmp_path, policy, family, more, hint):
    start = trained("generative", "llama") / "checkpoint"
    result = _gist(*_run(policy, family, causal=given.causal, data=given.data, start=start, out=tmp_path), *more)
    assert result.exit_code == 2, result.stderr
    assert hint in " ".join(result.stderr.split())
    assert not (tmp_path / "checkpoint").exists()


def test_measured_beside_every_control(trained, given, tmp_path):
    runs = [trained("selective", "llama"), trained("generative", "llama")]
    named = [x for run in runs for x in ("--run", run)]
    where = ["--data", given.data, "--model", given.causal["llama"], "--out", tmp_path]
    named += ["--checkpoint", given.start]
    result = _gist("measure-gists", *where, *named, *SIZES, "--episodes", 4, "--rate", 0.1, "--rate", 0.3)
    assert result.exit_code == 0, result.stderr
    report = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert result.stdout.rstrip("\n") == report.rstrip("\n")
    for name in ["**selective-llama**", "**generative-llama**", "**start**", "QA-trained default, no query", *CONTROLS]:
        assert report.count(f"| {name} |") == 2, name
    rows = [json.loads(line) for line in (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 4 * (2 + 2 * 10)
    assert all(row["share"] <= row["rate"] + 1e-9 for row in rows)
    assert all(row["kl"] >= -1e-6 and row["values_kept"] <= row["values"] for row in rows)
    full = [row for row in rows if row["system"] == "full context"]
    assert all(row["share"] == 1 and row["values_kept"] == row["values"] for row in full)
    assert all(row["gain"] == 0 for row in rows if row["system"] == "local window alone")


def test_adapters_leave_the_teacher_what_it_was(given):
    base, tokenizer = load_causal(str(given.causal["qwen2"]))
    ids = torch.tensor([tokenizer("We choose to go", add_special_tokens=False)["input_ids"]])
    with torch.no_grad():
        expected = base(input_ids=ids).logits.clone()
        teacher, learner = teacher_and_learner(base, lora=True)
        assert torch.equal(learner(input_ids=ids).logits, expected)  # adapters begin at nothing
        trained = [p for p in learner.parameters() if p.requires_grad]
        assert 0 < sum(p.numel() for p in trained) < sum(p.numel() for p in learner.parameters()) / 2
        for parameter in trained:
            parameter.add_(0.1)
        changed = learner(input_ids=ids).logits
        assert not torch.allclose(changed, expected, atol=1e-2)
        assert torch.allclose(teacher(input_ids=ids).logits, expected)
        assert list(teacher.parameters()) == []
        assert torch.allclose(merged(learner)(input_ids=ids).logits, changed, atol=1e-3)


def test_without_adapters_teacher_and_learner_are_two(given):
    base, _ = load_causal(str(given.causal["llama"]))
    teacher, learner = teacher_and_learner(base, lora=False)
    assert teacher is base
    assert not any(p.requires_grad for p in teacher.parameters())
    assert all(p.requires_grad for p in learner.parameters())
    assert merged(learner) is learner


def test_without_peft_the_extra_is_named(given, monkeypatch):
    from gist_core.errors import MissingExtraError

    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(MissingExtraError, match="peft") as caught:
        with_lora(load_causal(str(given.causal["llama"]))[0])
    assert "gist-compressor[train]" in caught.value.hint


def test_held_episodes_are_of_other_documents(given):
    sizes = EpisodeSizes(48, 8, 8)
    read = (read_episodes(given.data, side, speech_tokenizer(), sizes, 1) for side in ("train", "validation"))
    train, held = ({e.context for e in episodes} for episodes in read)
    assert train and held and not train & held


@pytest.mark.parametrize(
    ("changes", "code", "hint"),
    [
        (["--rate", "0"], 2, "between 0 and 1"),
        (["--rate", "2"], 2, "between 0 and 1"),
        (["--verbatim"], 2, "never does otherwise"),
        (["--extract", "2"], 2, "reads everything"),
        (["--policy", "generative", "--extract", "0.5"], 2, "extract is 0.5"),
        (["--policy", "generative", "--extract", "nan"], 2, "extract is nan"),
        (["--policy", "generative", "--extract", "inf"], 2, "extract is inf"),
        (["--data", "nowhere"], 2, "Name a file or folder of"),
        (["--context", "4000"], 2, "smaller sizes"),
        (["--model", "/no/such/model"], 2, "Name a folder or a hub id."),
        (["--start", "/no/such/start"], 2, "written by `gist train`"),
        (["--policy", "neither"], 2, "neither"),
        (["--steps", "0"], 2, "steps"),
    ],
)
def test_what_cannot_be_trained_is_named_with_a_hint(given, tmp_path, changes, code, hint):
    command = _run("selective", "llama", causal=given.causal, data=given.data, start=given.start, out=tmp_path / "run")
    result = _gist(*command, *changes)
    assert result.exit_code == code, result.stderr
    assert hint in " ".join(result.stderr.split())
    assert not (tmp_path / "run" / "checkpoint").exists()


@pytest.mark.parametrize(
    ("changes", "code", "hint"),
    [
        (["--rate", "0"], 2, "between 0 and 1"),
        (["--rate", "2"], 2, "between 0 and 1"),
        (["--run", "nowhere"], 2, "Name a folder of `gist train cotrain`."),
        (["--context", "4000"], 2, "smaller sizes"),
        (["--data", "nowhere"], 2, "Name a file or folder of"),
        (["--model", "/no/such/model"], 2, "Name a folder or a hub id."),
    ],
)
def test_what_cannot_be_measured_is_named_with_a_hint(trained, given, tmp_path, changes, code, hint):
    where = ["--data", given.data, "--model", given.causal["llama"], "--run", trained("selective", "llama")]
    result = _gist("measure-gists", *where, "--out", tmp_path / "out", *SIZES, *changes)
    assert result.exit_code == code, result.stderr
    assert hint in " ".join(result.stderr.split())
    assert not (tmp_path / "out" / "report.md").exists()
