"""The co-training loop in the smallest controlled world: what may change a run, and what may not."""

from __future__ import annotations

import copy
import json
import random
import re
from functools import partial
from itertools import pairwise

import pytest
import torch

from gist_core.errors import InvalidInputError
from gist_core.passage import Span, render
from gist_core.selective.config import SelectiveConfig
from gist_core.selective.engine import Parts
from gist_core.selective.model import SelectiveModel
from gist_core.training.cotrain.credit import GroupCredit
from gist_core.training.cotrain.generative import GenerativeObjective, invention_cost
from gist_core.training.cotrain.imitate import gists_loss, imitate
from gist_core.training.cotrain.judge import start_judge
from gist_core.training.cotrain.loop import Players, cotrain
from gist_core.training.cotrain.objective import SelectiveObjective
from gist_core.training.cotrain.policy import SelectivePolicy
from gist_core.training.cotrain.scoring import Frame
from gist_core.training.cotrain.settings import CotrainSettings
from gist_core.training.cotrain.world import SEPARATOR, WorldSizes, world_episode, world_tokenizer
from gist_core.training.cotrain.writer import Writer
from gist_core.training.lm.bpe import GIST
from gist_core.training.lm.optimizers import optimizers
from tests.helpers.tiny_causal import tiny_causal

SIZES = WorldSizes(context=72, local=4, facts=3, rumours=1, asked=2)  # shorter ones share a window of the encoder
FRAME = Frame(world_tokenizer(), SEPARATOR)
HELD = [world_episode(random.Random(n), SIZES).episode for n in range(5)]
TEACHER = tiny_causal("lfm2", len(FRAME.tokenizer), positions=128).requires_grad_(False)
SETTINGS = {
    "steps": 4,
    "warm_steps": 2,
    "batch": 8,
    "micro": 8,
    "rates": (0.1, 0.3),
    "policy_rate": 1e-3,
    "generator_rate": 1e-3,
    "save_every": 2,
}


def _draw(step):
    rng = random.Random(1_000 + step)
    return [world_episode(rng, SIZES).episode for _ in range(8)]


def _selective():
    torch.manual_seed(3)
    config = SelectiveConfig(
        vocab_size=len(FRAME.tokenizer),
        hidden_size=32,
        num_heads=2,
        intermediate_size=64,
        max_positions=80,
        shared_layers=1,
        branch_layers=1,
        window_tokens=76,
        query_tokens=8,
        granularity="word",
    )
    parts = Parts(SelectiveModel(config), FRAME.tokenizer.backend_tokenizer, {})
    return SelectiveObjective(SelectivePolicy(parts, whole=True), FRAME, GroupCredit(samples=3))


def _generative():
    writer = Writer(copy.deepcopy(TEACHER).requires_grad_(True), FRAME, "", GIST)
    return GenerativeObjective(writer, (0.1, 0.3), samples=4)


def _players(objective=None):
    return Players(TEACHER, copy.deepcopy(TEACHER).requires_grad_(True), objective or _selective(), FRAME)


def _train(out, objective=None, draw=_draw, **changes):
    players = _players(objective)
    cotrain(players, draw, HELD, CotrainSettings(**(SETTINGS | changes)), out)
    return players


def _rows(out):
    rows = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def _weights(players):
    models = {"policy": players.objective.policy, "generator": players.generator}
    return {f"{name}.{k}": v.clone() for name, model in models.items() for k, v in model.state_dict().items()}


def _last(out):
    """The weights of the last validation, which need not be the best one's."""
    state = torch.load(out / "state.pt", weights_only=True)
    return {f"{name}.{k}": v for name in ("policy", "generator") for k, v in state[name].items()}


def _differences(one, other):
    return {name: float((one[name] - other[name]).abs().max()) for name in one}


def _interrupted(at):
    def draw(step):
        if step == at:
            raise KeyboardInterrupt
        return _draw(step)

    return draw


def test_the_size_of_a_micro_batch_changes_nothing(tmp_path, monkeypatch):
    # Adam makes a whole step of the last digits of a gradient that is nearly zero: not with a larger epsilon.
    monkeypatch.setattr(torch.optim, "AdamW", partial(torch.optim.AdamW, eps=1e-4))
    changes = {"steps": 2, "warm_steps": 1, "save_every": 3}
    _train(tmp_path / "whole", _selective(), micro=8, **changes)
    _train(tmp_path / "parts", _selective(), micro=1, **changes)
    start = _weights(_players())
    different = _differences(_last(tmp_path / "whole"), _last(tmp_path / "parts"))
    assert max(different.values()) < 1e-5, sorted(different.items(), key=lambda x: -x[1])[:5]
    assert max(_differences(_last(tmp_path / "whole"), start).values()) > 1e-4
    for one, other in zip(_rows(tmp_path / "whole"), _rows(tmp_path / "parts"), strict=True):
        assert one.pop("gists", None) == other.pop("gists", None)
        assert one == pytest.approx(other, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("make", [_selective, _generative])
def test_a_resumed_run_ends_as_an_uninterrupted_one(tmp_path, make):
    rates = (0.1, 0.3) if make is _selective else (0.3,)
    whole = _train(tmp_path / "whole", make(), rates=rates)
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path / "parts", make(), draw=_interrupted(4), rates=rates)
    assert [row["step"] for row in _rows(tmp_path / "parts")] == [1, 2, 3, 4]
    resumed = _train(tmp_path / "parts", make(), rates=rates)
    assert max(_differences(_weights(whole), _weights(resumed)).values()) < 1e-6
    assert _rows(tmp_path / "parts") == _rows(tmp_path / "whole")
    assert resumed.objective.prices == whole.objective.prices


def test_a_run_stopped_between_two_saves_repeats_the_steps_since(tmp_path):
    whole = _train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path / "parts", draw=_interrupted(3))
    resumed = _train(tmp_path / "parts")
    assert max(_differences(_weights(whole), _weights(resumed)).values()) < 1e-6
    rows = _rows(tmp_path / "parts")
    assert [row["step"] for row in rows] == [1, 2, 3, 3, 4, 5, 6]
    assert rows[2] == rows[3]


def test_a_finished_run_is_left_as_it_is(tmp_path):
    first = _train(tmp_path)
    rows = _rows(tmp_path)
    again = _train(tmp_path, draw=_interrupted(6))
    assert _rows(tmp_path) == rows
    assert max(_differences(_weights(first), _weights(again)).values()) == 0


def test_without_learning_rates_nothing_is_learnt(tmp_path):
    players = _train(tmp_path, policy_rate=0.0, generator_rate=0.0, warm_steps=0)
    assert max(_differences(_weights(players), _weights(_players())).values()) == 0
    [first, second] = [
        {k: v for k, v in row.items() if k.startswith("held_") or k == "gists"}
        for row in _rows(tmp_path)
        if "held_kl" in row
    ]
    assert first == second
    assert first["held_rate"] == pytest.approx(0.3, abs=0.02)


def test_with_them_policy_and_generator_learn(tmp_path):
    _train(tmp_path)
    changed = [k for k, v in _differences(_last(tmp_path), _weights(_players())).items() if v > 0]
    assert any(k.startswith("generator.") for k in changed)
    assert any("keep_head" in k for k in changed)
    rows = _rows(tmp_path)
    assert [row["warm"] for row in rows] == [True] * 2 + [False] * 4
    assert [row.get("asked") for row in rows] == [None, None, 0.1, 0.3, 0.1, 0.3]
    assert rows[-1]["held_kl_local"] != rows[1]["held_kl_local"]
    assert len(rows[-1]["gists"]) == 2
    assert all("kl" in row and "rate" in row and row["entropy"] > 0 for row in rows[2:])


def test_a_frozen_generator_and_the_teacher_are_untouched(tmp_path):
    before = copy.deepcopy(TEACHER.state_dict())
    players = _train(tmp_path, frozen_generator=True)
    assert all(torch.equal(v, before[k]) for k, v in players.generator.state_dict().items())
    assert all(torch.equal(v, before[k]) for k, v in TEACHER.state_dict().items())
    assert all(p.grad is None for p in players.generator.parameters())
    assert max(_differences(_last(tmp_path), _weights(_players())).values()) > 0
    assert all("generator_kl" not in row for row in _rows(tmp_path))


def test_warm_steps_leave_the_policy_alone(tmp_path):
    players = _train(tmp_path, steps=1, warm_steps=3, policy_rate=0.0)
    changed = {k.split(".")[0] for k, v in _differences(_weights(players), _weights(_players())).items() if v > 0}
    assert changed == {"generator"}


def test_patience_ends_a_run_for_good(tmp_path):
    still = {"policy_rate": 0.0, "generator_rate": 0.0, "warm_steps": 0, "steps": 20, "patience": 2}
    _train(tmp_path, **still)
    assert len(_rows(tmp_path)) == 4  # the validation before the first step is the best, two more are not better
    _train(tmp_path, **still)
    assert len(_rows(tmp_path)) == 4


def test_the_best_of_the_validations_is_left(tmp_path, monkeypatch):
    from gist_core.training.cotrain import loop

    validate = loop._Run.validate
    kept = []

    def worse_from_then_on(run, held, step):
        remember = run._remember
        monkeypatch.setattr(run, "_remember", lambda _: remember(float(step)))
        row = validate(run, held, step)
        kept.append(_weights(run.players))
        return row

    monkeypatch.setattr(loop._Run, "validate", worse_from_then_on)
    players = _train(tmp_path, warm_steps=0)
    assert len(kept) == 3
    assert max(_differences(_weights(players), kept[0]).values()) == 0
    assert max(_differences(kept[0], _weights(_players())).values()) == 0  # as it came, before the first step
    assert max(_differences(kept[1], kept[0]).values()) > 0
    best = torch.load(tmp_path / "best.pt", weights_only=True)
    assert best["prices"] == players.objective.prices
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 4


def test_validations_of_the_warm_up_are_not_remembered(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path, warm_steps=3, draw=_interrupted(2))
    assert "held_kl" in _rows(tmp_path)[-1]
    assert not (tmp_path / "best.pt").exists()


def test_gradient_checkpointing_computes_layers_again_and_the_same(tmp_path):
    found, calls = [], []
    for sparing in (False, True):
        players = _players()
        layer, seen = players.generator.model.layers[0].operator_norm, []
        layer.register_forward_hook(lambda *_, seen=seen: seen.append(1))
        settings = CotrainSettings(**(SETTINGS | {"steps": 1, "gradient_checkpointing": sparing}))
        cotrain(players, _draw, HELD, settings, tmp_path / str(sparing))
        found.append(_weights(players))
        calls.append(len(seen))
    assert calls[1] > calls[0]
    assert max(_differences(*found).values()) < 1e-5


def test_a_writer_is_rewarded_within_its_group_and_held_to_its_start(tmp_path):
    players = _train(tmp_path, _generative(), rates=(0.3,), anneal=0.0, warm_steps=0)
    rows = _rows(tmp_path)
    assert all(0 <= row["rate"] <= 2.5 * 0.3 + 0.05 for row in rows)
    assert {row["target"] for row in rows} == {0.3}
    best = players.objective.best([e.context for e in HELD], 0.3)
    for gist, episode in zip(best, HELD, strict=True):
        assert len(FRAME.ids(gist)) <= 0.3 * len(FRAME.ids(episode.context))


def test_what_a_gist_invents_costs_it_and_what_it_copies_does_not():
    judge = start_judge(TEACHER, TEACHER, FRAME, HELD[:2])
    names = [re.findall(r"[A-Z]\w+", e.context) for e in HELD[:2]]
    copied = [f"met {own[0]}" for own in names]
    strange = "met Zorgatron and Quixnab"
    cost = invention_cost(judge, [*copied, strange, strange, ""], [0, 1, 0, 1, 0])
    assert cost.tolist() == pytest.approx([0, 0, *(0.2 * judge.kl_local).tolist(), 0])
    assert (judge.kl_local > 0).all()


def test_imitation_resumes_and_comes_nearer(tmp_path):
    def keep(contexts, rates):
        return [[[Span(0, int(rate * len(c)))] for rate in rates] for c in contexts]

    def run(out, draw=_draw):
        writer = _generative().policy
        found = optimizers(writer, matrices=2e-2, rest=5e-3, weight_decay=0.0)
        imitate(writer, found, gists_loss(writer, keep, (0.1, 0.3)), draw, 52, 8, out)
        return writer

    whole = run(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", _interrupted(51))
    resumed = run(tmp_path / "parts")
    for a, b in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    losses = [json.loads(x)["loss"] for x in (tmp_path / "whole" / "imitation.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.8 * losses[0]


def test_neighbours_scores_give_fewer_and_longer_stretches():
    objective = _players().objective
    contexts = [e.context for e in HELD]

    def pieces(around):
        found = [spans for [spans] in objective.kept(contexts, (0.3,), around=around)]
        for spans, context in zip(found, contexts, strict=True):
            assert len(FRAME.ids(render(context, spans))) <= 0.3 * len(FRAME.ids(context))
        return sum(b.start - a.end > 1 for spans in found for a, b in pairwise(spans))

    assert pieces(2) < pieces(1) < pieces(0)
    assert [render(c, k) for c, [k] in zip(contexts, objective.kept(contexts, (0.3,)), strict=True)] == objective.best(
        contexts, 0.3
    )
    assert objective.kept(["one two"], (0.9,), around=5) == objective.kept(["one two"], (0.9,))


def test_rates_come_in_turn_and_targets_come_down():
    settings = CotrainSettings(steps=10, rates=(0.2, 0.05), anneal=0.5)
    assert [settings.asked(n) for n in range(4)] == [0.2, 0.05, 0.2, 0.05]
    assert settings.middle == 0.2
    assert settings.target(0) == pytest.approx(0.5)
    falling = [settings.target(n) for n in range(0, 10, 2)]
    assert falling == sorted(falling, reverse=True)
    assert settings.target(6) == pytest.approx(0.2)
    assert CotrainSettings(rates=(0.1,), anneal=0.0).target(0) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "wrong", [{"rates": ()}, {"rates": (0.0,)}, {"rates": (0.1, 1.0)}, {"steps": 0}, {"micro": 0}, {"save_every": 0}]
)
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        CotrainSettings(**wrong)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_as_the_cpu_does(tmp_path, monkeypatch):
    from accelerate.state import AcceleratorState

    monkeypatch.setattr("gist_core.training.cotrain.loop.mixed_precision", lambda: "no")
    _train(tmp_path / "gpu")
    TEACHER.to("cpu")
    AcceleratorState._reset_state(reset_partial_state=True)
    with monkeypatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", "true")
        _train(tmp_path / "cpu")
    for here, there in zip(_rows(tmp_path / "cpu"), _rows(tmp_path / "gpu"), strict=True):
        for name in here.keys() & {"kl_local", "held_kl_local", "generator_kl"}:
            assert there[name] == pytest.approx(here[name], rel=2e-2), name
