"""Distillation and mining: what a run of `gist train selective` takes from checkpoints that are trained already."""

from __future__ import annotations

import copy
import json
import random

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from typer.testing import CliRunner

from gist_core.cli import app
from gist_core.errors import InvalidInputError
from gist_core.selective.engine import Parts, start_engine
from gist_core.selective.fusion import MODES, SIGNALS, Fusion, Rating, untrained
from gist_core.selective.model import SelectiveModel
from gist_core.selective.signals import special_ids
from gist_core.training import export, recipe
from gist_core.training.batches import make_batch, rows_of
from gist_core.training.examples import Example, ExampleBuilder
from gist_core.training.fusion import read_units
from gist_core.training.losses import distillation_loss
from gist_core.training.mining import mined
from gist_core.training.selective import SelectiveRecipe
from gist_core.training.teachers import Teachers
from tests.helpers.facts import fact, mix_of_facts, write_facts
from tests.helpers.tiny import save_tiny, tiny_model, tiny_tokenizer

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_facts(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def small_mix(monkeypatch):
    mix_of_facts(monkeypatch)


def teacher(seed: int) -> Parts:
    """With heads of its own that say something."""
    model = tiny_model()
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.startswith(("interaction_branch", "keep_head", "relevance_head")):
                parameter.copy_(0.3 * torch.randn(parameter.shape))
    return Parts(model, tiny_tokenizer(), {mode: Rating(untrained()) for mode in MODES})


def step():
    builder = ExampleBuilder(tiny_tokenizer(), 48, 32, random.Random(0), unanswerable=0.0, query_free=0.0)
    examples = [builder.build(fact(n)) for n in (1001, 1002, 1003)]
    return make_batch(examples, special_ids(tiny_tokenizer()))


def test_what_teachers_say_is_the_mean_of_each():
    batch = step()
    one, other = (Teachers([teacher(seed)], tiny_tokenizer(), 50, CPU)(batch) for seed in (1, 2))
    both = Teachers([teacher(1), teacher(2)], tiny_tokenizer(), 50, CPU)(batch)
    assert one.shape == (len(batch.unit_question),)
    assert not torch.allclose(one, other, atol=1e-3)
    assert torch.allclose(both, (one + other) / 2, atol=1e-5)
    assert not both.requires_grad


def test_a_teacher_rates_units_as_it_does_in_a_call():
    """But for trigrams, which a step does not count."""
    generator = np.random.default_rng(4)
    count, grams = len(SIGNALS), [SIGNALS.index(n) for n in ("unit_grams", "passage_grams", "near_grams")]

    def some(*shape):
        values = generator.normal(size=shape).astype(np.float32)
        values[grams] = 0
        return values

    mean, scale, one = some(count), np.abs(some(count)) + 1, np.ones(1, np.float32)
    fusion = Fusion(mean, scale, some(count), some(count, 1), one, 2 * one, one)
    parts = teacher(1)
    parts = Parts(parts.model, parts.tokenizer, {mode: Rating(fusion) for mode in MODES})
    record = fact(1003)
    record["documents"] = record["documents"][1:2]  # a call packs short texts into one window, a step does not
    builder = ExampleBuilder(tiny_tokenizer(), 48, 32, random.Random(0))
    windows = [w for source, some in builder._sources_of(record) for w in builder._label(source, record, some)]
    example = Example(builder._query(record["query"]), windows)
    got = Teachers([parts], tiny_tokenizer(), 50, CPU)(make_batch([example], special_ids(tiny_tokenizer())))
    read = read_units(start_engine(parts, "cpu"), [d["text"] for d in record["documents"]], record["query"])
    wanted = torch.from_numpy(fusion(read.signals))
    assert torch.allclose(got.sort().values, wanted.sort().values, atol=0.02)  # integers in a call, float32 here


def test_a_teacher_may_number_the_pieces_in_another_way():
    parts, batch = teacher(1), step()
    order = torch.randperm(tiny_tokenizer().get_vocab_size(), generator=torch.Generator().manual_seed(3))
    content = json.loads(tiny_tokenizer().to_str())
    place = {int(old): new for new, old in enumerate(order)}
    content["model"]["vocab"] = {piece: place[i] for piece, i in content["model"]["vocab"].items()}
    content["added_tokens"] = [{**token, "id": place[token["id"]]} for token in content["added_tokens"]]
    model = copy.deepcopy(parts.model)
    with torch.no_grad():
        model.embeddings.word.weight.copy_(parts.model.embeddings.word.weight[order])
    moved = Parts(model, Tokenizer.from_str(json.dumps(content)), parts.ratings)
    same, found = (Teachers([p], tiny_tokenizer(), 50, CPU)(batch) for p in (parts, moved))
    assert torch.allclose(same, found, atol=1e-5)


def test_a_teacher_that_reads_something_else_is_refused():
    parts = teacher(1)
    content = json.loads(tiny_tokenizer().to_str())
    content["model"]["vocab"] = {p if i < 5 else f"{p}x": i for p, i in content["model"]["vocab"].items()}
    stranger = Parts(parts.model, Tokenizer.from_str(json.dumps(content)), parts.ratings)
    with pytest.raises(InvalidInputError, match=r"lacks .* word pieces"):
        Teachers([stranger], tiny_tokenizer(), 50, CPU)
    with pytest.raises(InvalidInputError, match="64 tokens at once, windows have up to 65"):
        Teachers([parts], tiny_tokenizer(), 65, CPU)


def test_the_loss_is_the_divergence_of_each_questions_softmax():
    group = torch.tensor([0, 0, 2, 2, 2])
    said = torch.tensor([1.0, -1.0, 0.0, 2.0, 0.5])
    assert distillation_loss(said + torch.tensor([5.0, 5, -3, -3, -3]), said, group, 3).abs() < 1e-6
    got = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0], requires_grad=True)
    loss = distillation_loss(got, said, group, 3)
    wanted = [
        torch.nn.functional.kl_div(torch.full((n,), 1 / n).log(), said[group == g].softmax(0), reduction="sum")
        for g, n in ((0, 2), (2, 3))
    ]
    assert torch.allclose(loss, sum(wanted) / 2, atol=1e-6)
    loss.backward()
    assert got.grad[0] < 0 < got.grad[1]
    assert float(distillation_loss(said[:0], said[:0], group[:0], 3)) == 0.0


def test_the_command_learns_what_the_teachers_say(data, tmp_path):
    folders = [save_tiny(tmp_path / "start")]
    for seed in (1, 2):
        export.save_parts(tmp_path / str(seed), teacher(seed), "teacher", "1", int8=False)
        folders.append(tmp_path / str(seed))
    options = ["--data", data, "--out", tmp_path / "run", "--start", folders[0], "--steps", 2]
    options += [part for folder in folders[1:] for part in ("--teacher", folder)]
    result = CliRunner().invoke(app, ["train", "selective", *map(str, options)])
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert all(row["teacher"] > 0 for row in rows)
    assert "validation_teacher" in rows[-1]


def test_a_run_comes_nearer_to_its_teacher(data, tmp_path):
    start, other = teacher(5), teacher(1)
    with torch.no_grad():
        other.model.keep_head.weight.mul_(2)  # it says clearly what it says
    settings = SelectiveRecipe(
        steps=40, examples_per_step=8, save_every=1, learning_rate=3e-4, head_learning_rate=1e-3, teaching=50.0
    )
    learned: SelectiveModel = recipe.train_selective(data, tmp_path / "run", start, settings, teachers=[other])
    assert not learned.training
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    said = [row["validation_teacher"] for row in rows if "validation_teacher" in row]
    assert said[-1] < 0.7 * said[0]


def long_record():
    record = fact(1003)
    texts = [f"The cat number {n} sat on a mat of iron." for n in range(14)]
    record["documents"] += [{"id": f"x{n}", "title": "x", "text": text} for n, text in enumerate(texts)]
    return record


def test_of_the_windows_without_evidence_the_ones_the_judge_likes_stay():
    builder = ExampleBuilder(
        tiny_tokenizer(), 48, 32, random.Random(0), unanswerable=0.0, query_free=0.0, windows_per_example=4, spare=6
    )
    long, short = builder.build(long_record()), builder.build(fact(1002))
    assert len(long.windows) == 10
    special = special_ids(tiny_tokenizer())
    seen = []

    def judge(batch):
        liked = torch.arange(len(batch.unit_question), dtype=torch.float32) % 7
        seen.append((batch, liked))
        return liked

    found = mined([short, long], judge, special, 4)
    assert found[0] is short
    [(batch, liked)] = seen
    rows = [window for _, window in rows_of([long])]
    worth = {id(w): float(liked[batch.unit_window == i].max()) for i, w in enumerate(rows)}
    kept = found[1].windows
    assert len(kept) == 4
    assert [w for w in long.windows if w.relevant] == [w for w in kept if w.relevant]
    negative = [worth[id(w)] for w in kept if not w.relevant]
    left = [worth[id(w)] for w in long.windows if not any(w is k for k in kept)]
    assert min(negative) >= max(left)
    assert mined([short], judge, special, 4) == [short]


def test_a_run_may_mine_with_its_start(data, tmp_path, monkeypatch):
    steps = []

    def seen(examples, judge, special, most):
        found = mined(examples, judge, special, most)
        steps.append((examples, found, judge))
        return found

    monkeypatch.setattr(recipe, "WINDOWS", 2)
    monkeypatch.setattr(recipe, "mined", seen)
    options = ["train", "selective", "--data", data, "--out", tmp_path / "run", "--steps", 2, "--mine"]
    result = CliRunner().invoke(app, [*map(str, options), "--start", str(save_tiny(tmp_path / "start"))])
    assert result.exit_code == 0, result.output
    assert len(steps) == 2
    assert max(len(e.windows) for examples, _, _ in steps for e in examples) > 2
    assert max(len(e.windows) for _, found, _ in steps for e in found) == 2
    again = mined(steps[0][0], steps[1][2], special_ids(tiny_tokenizer()), 2)  # the judge has not learned since
    assert [[id(w) for w in e.windows] for e in again] == [[id(w) for w in e.windows] for e in steps[0][1]]
    refused = CliRunner().invoke(app, [*map(str, options)])
    assert refused.exit_code == 2
    assert "--start" in refused.output
