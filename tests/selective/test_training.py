"""The whole recipe on a tiny encoder and a few records: train, resume, export, load, compress."""

from __future__ import annotations

import json
import math
import random

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import BertConfig, BertModel
from typer.testing import CliRunner

from gist_core import Budget, Passage, load_compressor
from gist_core.checkpoint import read_manifest, update_checkpoint
from gist_core.cli import app
from gist_core.errors import CheckpointError, InvalidInputError
from gist_core.records import read_records, split_of
from gist_core.selective.engine import load_parts
from gist_core.selective.fusion import AS_IT_IS, MODES, SIGNALS, Calibration, untrained
from gist_core.selective.pooling import pool_logits
from gist_core.selective.signals import Special
from gist_core.training import export, recipe, steps
from gist_core.training.batches import make_batch
from gist_core.training.examples import ANSWER, EVIDENCE, ExampleBuilder, joined
from gist_core.training.export import export_selective
from gist_core.training.fusion import (
    Rated,
    calibrate,
    calibrate_worst,
    choose_exponent,
    fit_fusion,
    held_out_logits,
    unseen_logits,
)
from gist_core.training.losses import answer_loss, ranking_loss, token_loss, unit_loss, unit_targets
from gist_core.training.selective import Frozen, SelectiveRecipe, Trainee, losses
from tests.helpers.facts import fact, mix_of_facts, write_facts
from tests.helpers.tiny import save_tiny, tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_facts(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(2)
    config = BertConfig(
        vocab_size=tiny_tokenizer().get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=256,
    )
    BertModel(config).save_pretrained(folder)
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(autouse=True)
def small_mix(monkeypatch):
    mix_of_facts(monkeypatch)


def _train(data, out, encoder, steps, **changes):
    settings = SelectiveRecipe(**{"steps": steps, "examples_per_step": 4, "save_every": 2, **changes})
    return recipe.train_selective(data, out, recipe.untrained_parts(encoder, settings.seed), settings)


def test_train_export_load_compress(data, encoder, tmp_path):
    model = _train(data, tmp_path / "run", encoder, steps=4)
    export_selective(model, tiny_tokenizer(), data, tmp_path / "out", name="tiny-facts", version="7", vocabulary=150)
    compressor = load_compressor(str(tmp_path / "out" / "checkpoint"), device="cpu")
    assert compressor.model_id == "tiny-facts@7"
    [result] = compressor.compress(
        [Passage("a", "The iron barked. A cat was born in 1005. He sat.")], query="When?", budget=Budget(tokens=10)
    )
    assert 0 < result.usage.tokens_out <= 10
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in rows] == [1, 2, 3, 4]
    assert "validation_rank" in rows[-1]


def test_a_resumed_run_ends_as_an_uninterrupted_one(data, encoder, tmp_path, monkeypatch):
    whole = _train(data, tmp_path / "whole", encoder, steps=4)
    with monkeypatch.context() as patch:
        save = steps.save_state

        def stop_after_two(*arguments):
            save(*arguments)
            if arguments[-1] == 2:
                raise KeyboardInterrupt

        patch.setattr(steps, "save_state", stop_after_two)
        with pytest.raises(KeyboardInterrupt):
            _train(data, tmp_path / "parts", encoder, steps=4)
    resumed = _train(data, tmp_path / "parts", encoder, steps=4)
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=1e-6), name


def test_only_the_interaction_branch_and_the_heads_learn(data, encoder, tmp_path):
    from gist_core.selective.hub import from_pretrained_encoder

    before = from_pretrained_encoder(encoder).state_dict()
    after = _train(data, tmp_path / "run", encoder, steps=2).state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert "interaction_branch" in changed
    assert changed <= {"interaction_branch", "side", "keep_head", "relevance_head"}


def test_labels_mark_the_evidence_and_the_answer():
    builder = ExampleBuilder(tiny_tokenizer(), 64, 32, random.Random(0), unanswerable=0.0, query_free=0.0)
    example = builder.build(fact(1003))
    [gold] = [w for w in example.windows if w.relevant]
    tokens = gold.source.cut.tokens
    text = fact(1003)["documents"][1]["text"]
    marked = {
        label: "".join(
            text[s:e] for s, e, got in zip(tokens.start, tokens.end, gold.labels, strict=True) if got == label
        )
        for label in (EVIDENCE, ANSWER)
    }
    assert marked[ANSWER] == "1003"
    assert marked[EVIDENCE].endswith("wasbornin.")


def test_no_document_stands_on_two_sides(data):
    sides: dict[str, set[str]] = {}
    for record in read_records(data, "facts"):
        sides.setdefault(record["documents"][0]["title"], set()).add(split_of(record))
    assert all(len(s) == 1 for s in sides.values())
    assert {s for side in sides.values() for s in side} == {"train", "validation", "test"}


def test_losses_prefer_the_truth():
    labels, unit = torch.tensor([0.0, 0.5, 1.0, 0.0, 0.0]), torch.tensor([0, 1, 1, 2, 2])
    targets = unit_targets(labels, unit, 3)
    assert targets.tolist() == [0.0, 1.0, 0.0]
    right, wrong = torch.tensor([-5.0, 1.0, 5.0, -5.0, -5.0]), torch.tensor([5.0, -1.0, -5.0, 5.0, 5.0])
    group = torch.zeros(3, dtype=torch.long)
    for loss in (
        lambda logits: token_loss(logits, labels),
        lambda logits: unit_loss(pool_logits(logits, unit, 3), targets),
        lambda logits: ranking_loss(pool_logits(logits, unit, 3), targets, group, 1),
    ):
        assert loss(right) < loss(wrong)


def test_a_calibrated_threshold_loses_about_its_share():
    rng = np.random.default_rng(0)
    evidence = np.array([1.0, 0.0, 0.0], dtype=np.float32)
    rated = [Rated("facts", np.zeros((3, 1), np.float32), evidence, np.ones(3, np.float32)) for _ in range(2_000)]
    best = 2 + 3 * rng.logistic(size=2_000)
    logits = [np.array([b, -9.0, -9.0], dtype=np.float32) for b in best]
    calibration = calibrate(rated, logits)
    score = 1 / (1 + np.exp(-calibration(best.astype(np.float32))))
    for threshold in (0.05, 0.2, 0.5):
        assert abs((score < threshold).mean() - threshold) < 0.02


def _long_or_short(evidence):
    """At 10x either the unit of ten tokens fits or that of two; from an exponent of 0.125 on the short one is first."""
    logits, sizes = np.array([1.0, 0.8, -9.0], np.float32), np.array([10, 2, 100], np.float32)
    return Rated("facts", np.zeros((3, 1), np.float32), np.array(evidence, np.float32), sizes), logits


def _two_sets(easy, hard):
    """Questions whose best evidence has these logits, of an easy set and of a hard one."""
    values = [("easy", b) for b in easy] + [("hard", b) for b in hard]
    one = np.ones(1, np.float32)
    return [Rated(name, np.zeros((1, 1), np.float32), one, one) for name, _ in values], [
        np.array([b], np.float32) for _, b in values
    ]


def test_a_cautious_threshold_loses_its_share_in_the_worst_set():
    rng = np.random.default_rng(0)
    easy, hard = 4 + 2 * rng.logistic(size=4_000), 1 + 2 * rng.logistic(size=1_000)
    rated, logits = _two_sets(easy, hard)
    found = {name: learned(rated, logits) for name, learned in (("mean", calibrate), ("worst", calibrate_worst))}
    for threshold in (0.05, 0.1, 0.2):
        edge = _logit(threshold)
        lost = {name: (hard < calibration.inverse(edge)).mean() for name, calibration in found.items()}
        assert abs(lost["worst"] - threshold) < 0.025
        assert (easy < found["worst"].inverse(edge)).mean() < threshold
        assert lost["mean"] > max(threshold, lost["worst"]) + 0.02


def test_a_calibration_is_undone_by_its_inverse_and_never_turns_the_order():
    calibration = Calibration(0.5, -1.0)
    assert calibration.inverse(calibration(3.0)) == 3.0
    for slope, offset in ((0.0, 0.0), (-1.0, 0.0), (math.nan, 0.0), (math.inf, 0.0), (1.0, math.nan)):
        with pytest.raises(ValueError, match=f"slope {slope}.*offset {offset}"):
            Calibration(slope, offset)


@pytest.mark.parametrize("best", [[1.0], [1.0, 1.0, 1.0]])
def test_too_few_questions_leave_the_scores_as_they_are(best):
    rated, logits = _two_sets(best, [])
    assert calibrate(rated, logits) == calibrate_worst(rated, logits) == AS_IT_IS


@pytest.mark.parametrize(("short", "long", "chosen"), [(9, 0, 0.15), (0, 9, 0.0), (9, 7, 0.0), (40, 10, 0.15)])
def test_length_counts_as_little_as_the_evidence_allows(short, long, chosen):
    cases = [_long_or_short([0, 1, 0])] * short + [_long_or_short([1, 0, 0])] * long
    assert choose_exponent(*zip(*cases, strict=True)) == chosen


@pytest.mark.parametrize("mode", MODES)
def test_a_rating_is_learned_and_all_else_stays(data, tmp_path, mode):
    folder = save_tiny(tmp_path / "tiny")
    before, stored = load_parts(folder), load_file(folder / "model.safetensors")
    result = CliRunner().invoke(
        app, ["train", "rating", "--data", str(data), "--model", str(folder), "--mode", mode, "--version", "2"]
    )
    assert result.exit_code == 0, result.output
    after = load_parts(folder)
    assert load_compressor(str(folder), device="cpu").model_id == "tiny@2"
    changed = {n for n, t in load_file(folder / "model.safetensors").items() if not np.array_equal(t, stored[n])}
    assert changed
    assert all(name.startswith(f"fusion.{mode}.") for name in changed)
    for other in set(MODES) - {mode}:
        assert after.ratings[other].length_exponent == before.ratings[other].length_exponent
        assert after.ratings[other].calibration == before.ratings[other].calibration
        assert after.ratings[other].caution == before.ratings[other].caution
    assert (after.ratings[mode].calibration == AS_IT_IS) == (mode == "free")
    assert (after.ratings[mode].caution == AS_IT_IS) == (mode not in export.CAUTIOUS)


@pytest.mark.parametrize("stored", [{"slope": 0.5, "offset": -1.0}, None])
def test_a_checkpoint_from_before_the_third_mode_rates_all_questions_alike(tmp_path, stored):
    folder = save_tiny(tmp_path / "tiny")
    found = json.loads((folder / "gist.json").read_text())
    found["config"] |= {"length_exponent": {"query": 0.3, "free": 0.1}, "calibration": stored}
    if stored is None:
        del found["config"]["calibration"]
    (folder / "gist.json").write_text(json.dumps(found))
    tensors = {n: t for n, t in load_file(folder / "model.safetensors").items() if ".foreign." not in n}
    save_file(tensors, folder / "model.safetensors")
    ratings = load_parts(folder).ratings
    wanted = Calibration(**stored) if stored else AS_IT_IS
    for mode, exponent, calibration in (("query", 0.3, wanted), ("foreign", 0.3, wanted), ("free", 0.1, AS_IT_IS)):
        assert ratings[mode].length_exponent == exponent
        assert ratings[mode].calibration == calibration
    assert np.array_equal(ratings["foreign"].fusion.linear, ratings["query"].fusion.linear)


def _with_signals(folder, count):
    """Cut the checkpoint's fusions to their first signals, or widen them, as other versions store them."""
    tensors = load_file(folder / "model.safetensors")
    for name in [n for n in tensors if n.split(".")[-1] in {"mean", "scale", "linear", "hidden"}]:
        if name.startswith("fusion."):
            tensors[name] = np.resize(tensors[name], (count, *tensors[name].shape[1:]))
    save_file(tensors, folder / "model.safetensors")


def test_signals_that_came_later_count_for_nothing(tmp_path):
    folder = save_tiny(tmp_path / "tiny")
    _with_signals(folder, 12)
    fusion = load_parts(folder).ratings["query"].fusion
    signals = np.random.default_rng(0).normal(size=(5, len(SIGNALS))).astype(np.float32)
    others = signals.copy()
    others[:, 12:] = 7
    assert len(fusion.linear) == len(SIGNALS)
    assert np.array_equal(fusion(signals), fusion(others))
    passages = [Passage("a", "The cat sat on the mat. The dog ran away.")]
    [result] = load_compressor(str(folder), device="cpu").compress(passages, query="cat?", budget=Budget(ratio=0.6))
    assert result.text


def test_a_checkpoint_of_more_signals_than_are_known_is_named(tmp_path):
    folder = save_tiny(tmp_path / "tiny")
    _with_signals(folder, len(SIGNALS) + 2)
    with pytest.raises(CheckpointError, match=f"goes by {len(SIGNALS) + 2} signals"):
        load_parts(folder)


def test_a_checkpoint_without_a_tokenizer_is_not_updated(tmp_path):
    folder = save_tiny(tmp_path / "tiny")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json"):
        update_checkpoint(folder, read_manifest(folder), {})


def test_a_rating_without_a_question_of_its_kind_is_refused(data, tmp_path, monkeypatch):
    monkeypatch.setitem(export.CASES, "foreign", {"facts": 12})
    folder = save_tiny(tmp_path / "tiny")
    with pytest.raises(InvalidInputError, match="facts"):
        export.refit(folder, data, "foreign", "2")
    assert load_compressor(str(folder), device="cpu").model_id == "tiny@1"


def _logit(score):
    return math.log(score / (1 - score))


def _check_threshold_between(compressor, passages, query, before, after):
    """What a threshold keeps goes by the new scores, not by the old ones."""
    for old, new in zip(before.units, after.units, strict=True):
        threshold = (old.score + new.score) / 2
        [found] = compressor.compress(passages, query=query, budget=Budget(threshold=threshold), allow_empty=True)
        kept = {i for span in found.kept for i in range(span.start, span.end)}
        assert (new.score > threshold) != (old.score > threshold)
        assert (new.start in kept) == (new.score > threshold)


@pytest.mark.parametrize("mode", ["free", "rows"])
def test_a_mode_without_thresholds_is_not_calibrated(data, tmp_path, mode):
    folder = save_tiny(tmp_path / "tiny")
    command = ["train", "calibrate", "--data", str(data), "--model", str(folder), "--mode", mode, "--version", "2"]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert f"tiny@1 has no thresholds of its own for mode '{mode}'" in result.output
    assert load_compressor(str(folder), device="cpu").model_id == "tiny@1"


def test_a_checkpoint_of_two_modes_is_calibrated_for_those(data, tmp_path):
    folder = save_tiny(tmp_path / "tiny")
    found = json.loads((folder / "gist.json").read_text())
    found["config"]["length_exponent"] = {"query": 0.3, "free": 0.1}
    (folder / "gist.json").write_text(json.dumps(found))
    with pytest.raises(InvalidInputError, match="mode 'foreign'"):
        export.recalibrate(folder, data, "foreign", "2")
    caution = export.recalibrate(folder, data, "query", "2")
    assert {mode: rating.caution for mode, rating in load_parts(folder).ratings.items()} == {
        "query": caution,
        "foreign": caution,
        "rows": caution,
        "free": AS_IT_IS,
    }


def test_questions_that_are_too_few_calibrate_nothing(data, tmp_path, monkeypatch):
    monkeypatch.setitem(export.CASES, "query", {"facts": 1})
    folder = save_tiny(tmp_path / "tiny")
    with pytest.raises(InvalidInputError, match="1 questions of mode 'query' are too few"):
        export.recalibrate(folder, data, "query", "2")
    assert load_compressor(str(folder), device="cpu").model_id == "tiny@1"


def test_a_fusion_is_calibrated_by_logits_it_has_not_learned():
    rng = np.random.default_rng(0)
    rated = []
    for _ in range(30):
        signals = rng.normal(size=(4, len(SIGNALS))).astype(np.float32)
        rated.append(Rated("facts", signals, np.eye(4, dtype=np.float32)[0], np.ones(4, np.float32)))
    other, learned = untrained(), fit_fusion(rated, seed=13)
    assert all(map(np.array_equal, unseen_logits(rated, other), [other(r.signals) for r in rated]))
    assert all(map(np.array_equal, unseen_logits(rated, learned), held_out_logits(rated)))


@pytest.mark.parametrize("mode", export.CAUTIOUS)
def test_calibrating_a_checkpoint_leaves_its_weights_and_its_choice(data, tmp_path, mode):
    folder = save_tiny(tmp_path / "tiny")
    export.refit(folder, data, mode, "1")
    learned = load_parts(folder).ratings[mode].caution
    manifest = json.loads((folder / "gist.json").read_text())
    del manifest["config"]["caution"]
    (folder / "gist.json").write_text(json.dumps(manifest))
    weights = (folder / "model.safetensors").read_bytes()
    passages, query = [Passage("a", "The iron barked. A cat was born in 1005. He sat.")], "When?"
    before = load_compressor(str(folder), device="cpu").compress(passages, query=query, budget=Budget(tokens=10))
    found = export.recalibrate(folder, data, mode, "2")
    compressor = load_compressor(str(folder), device="cpu")
    after = compressor.compress(passages, query=query, budget=Budget(tokens=10))
    assert (folder / "model.safetensors").read_bytes() == weights
    if mode == "query":  # that of the call
        for old, new in zip(before[0].units, after[0].units, strict=True):
            assert _logit(new.score) == pytest.approx(found(_logit(old.score)), abs=1e-6)
        _check_threshold_between(compressor, passages, query, before[0], after[0])
    assert compressor.model_id == "tiny@2"
    cautions = {other: rating.caution for other, rating in load_parts(folder).ratings.items()}
    assert cautions == dict.fromkeys(MODES, AS_IT_IS) | {mode: found}
    assert found == learned != AS_IT_IS
    assert [r.kept for r in after] == [r.kept for r in before]


def _titled(number: int) -> dict:
    record = fact(number)
    for document in record["documents"]:
        document["title"] = f"cat {document['id']}"
    return record


@pytest.mark.parametrize(
    ("record", "share", "headed"), [(_titled(1003), 1, True), (_titled(1003), 0, False), (fact(1003), 1, False)]
)
def test_windows_are_learned_below_titles_that_differ(record, share, headed):
    builder = ExampleBuilder(tiny_tokenizer(), 64, 32, random.Random(0), title_tokens=1, unanswerable=0.0, titled=share)
    example = builder.build(record)
    batch = make_batch([example], Special(2, 3, 0))
    [chunk] = batch.chunks
    assert {len(w.source.cut.titles.texts) > 1 for w in example.windows} == {headed}
    framing = (chunk.mask & ~chunk.real).sum(dim=1)  # [CLS] and [SEP]; with a title its tokens and one more [SEP]
    assert set(framing.tolist()) == ({4} if headed else {2})
    assert int(chunk.real.sum()) == len(chunk.labels) == sum(len(w.labels) for w in example.windows)


def test_a_question_over_one_text_gets_one_window_of_another():
    builder = ExampleBuilder(tiny_tokenizer(), 64, 32, random.Random(0), unanswerable=0.0, query_free=0.0)
    builder.build(fact(1003))
    record = fact(1004)
    record["documents"] = record["documents"][1:2]
    windows = builder.build(record).windows
    assert [w.relevant for w in windows] == [1.0, 0.0]


def test_the_answer_is_told_from_the_rest_of_its_sentence():
    answer = torch.tensor([False, True, True, False])
    known, group = torch.tensor([True] * 4), torch.zeros(4, dtype=torch.long)

    def loss(*logits: float) -> float:
        return float(answer_loss(torch.tensor(logits), answer, known, group, 1))

    assert loss(0, 0, 0, 0) == pytest.approx(math.log(3))  # against two others each
    assert loss(0, 9, 9, 0) < loss(0, 9, 0, 0) < loss(0, 0, 0, 0) < loss(9, 0, 0, 0)
    nothing = answer_loss(torch.zeros(4), torch.zeros(4, dtype=torch.bool), known, group, 1)
    assert float(nothing) == 0.0
    assert float(
        answer_loss(torch.tensor([9.0, 0, 0, 0]), answer, known & (torch.arange(4) > 0), group, 1)
    ) == pytest.approx(math.log(2))


def test_a_run_that_goes_on_leaves_calls_without_a_question_as_they_are(data, tmp_path):
    folder = save_tiny(tmp_path / "tiny")
    start = ["train", "selective", "--data", data, "--start", folder, "--steps", "3", "--version", "2"]
    result = CliRunner().invoke(app, [str(a) for a in (*start, "--out", tmp_path / "run")])
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert rows[0]["free"] == 0.0  # nothing has changed yet
    before, after = load_parts(folder), load_parts(tmp_path / "run" / "checkpoint")
    free, asked = before.ratings["free"], before.ratings["query"]
    assert np.array_equal(free.fusion.linear, after.ratings["free"].fusion.linear)
    assert free.length_exponent == after.ratings["free"].length_exponent
    assert not np.array_equal(asked.fusion.linear, after.ratings["query"].fusion.linear)


@pytest.mark.parametrize(("share", "wanted"), [(0.0, False), (1.0, True)])
def test_a_step_may_be_all_with_or_all_without_questions(share, wanted):
    builder = ExampleBuilder(tiny_tokenizer(), 48, 32, random.Random(0), unanswerable=0.0, query_free=share)
    model, other = tiny_model(), tiny_model()
    torch.nn.init.ones_(other.keep_head.bias)
    fusions = {"query": untrained(), "free": untrained()}
    frozen = Frozen(Special(2, 3, 0), other)
    parts = losses(Trainee(model, fusions), frozen, [builder.build(fact(n)) for n in (1003, 1004)])
    assert set(parts) == {"free"} if wanted else "free" not in parts
    assert not wanted or float(parts["free"].detach()) > 0


def test_half_of_the_negatives_are_the_hardest():
    builder = ExampleBuilder(tiny_tokenizer(), 64, 32, random.Random(0), unanswerable=0.0, query_free=0.0)
    record = fact(1003)
    record["documents"] += [
        {"id": f"x{i}", "title": "x", "text": "He liked the mat and the sea."} for i in range(8)
    ] + [{"id": "hard", "title": "x", "text": f"{record['query']} Nobody knows."}]
    assert any(len(w.source.cut.tokens.ids) > 9 and not w.relevant for w in builder.build(record).windows)


def test_two_questions_become_one():
    both = joined(fact(1003), fact(1004))
    assert both["query"].count("born?") == 2
    assert len(both["evidence"]) == 4


def test_a_batch_numbers_units_once_and_keeps_questions_apart():
    builder = ExampleBuilder(tiny_tokenizer(), 64, 32, random.Random(0))
    examples = [e for n in range(1000, 1006) if (e := builder.build(fact(n)))]
    batch = make_batch(examples, Special(2, 3, 0))
    units = torch.cat([c.unit for c in batch.chunks])
    assert set(units.tolist()) == set(range(len(batch.unit_question)))
    assert set(batch.unit_question.tolist()) == set(range(len(examples)))
    assert sum(int(c.real.sum()) for c in batch.chunks) == len(units)
