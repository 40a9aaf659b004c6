"""The controlled world: what its texts hold, and the whole of ``gist train world`` in a few steps."""

from __future__ import annotations

import json
import random
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gist_core import Budget, Passage, load_compressor
from gist_core.cli import app
from gist_core.training.cotrain.controls import random_words
from gist_core.training.cotrain.scoring import Frame
from gist_core.training.cotrain.world import (
    RUMOUR,
    SEPARATOR,
    VALUES,
    Fact,
    WorldSizes,
    invented,
    is_kept,
    named,
    world_episode,
    world_episodes,
    world_tokenizer,
    world_words,
)
from gist_core.training.cotrain.world_lm import WorldLmRecipe, curriculum, sequence_loss
from gist_core.training.cotrain.world_recipe import WorldRun, report_world
from gist_core.training.lm.bpe import END, GIST
from tests.helpers.tiny_causal import tiny_causal

FRAME = Frame(world_tokenizer(), SEPARATOR)
SIZES = st.builds(
    lambda facts, rumours, asked, more, local: WorldSizes(
        4 * (facts + rumours) + more, local, facts, rumours, min(asked, facts)
    ),
    st.integers(1, 6),
    st.integers(0, 3),
    st.integers(1, 6),
    st.integers(0, 120),
    st.integers(1, 20),
)


@settings(max_examples=100)
@given(SIZES, st.integers(0, 2**32))
def test_a_document_has_its_sizes_and_asks_for_nothing_but_facts(sizes, seed):
    made = world_episode(random.Random(seed), sizes)
    episode = made.episode
    counts = [len(FRAME.ids(t)) for t in (episode.context, episode.local, episode.future)]
    assert counts == [sizes.context, sizes.local, sizes.future]
    asked = [f"{part.strip()}" for part in episode.future.split(".") if part.strip()]
    assert len(asked) == len(set(asked)) == sizes.asked
    assert set(asked) <= {f.text for f in made.facts}
    assert len({f.name for f in made.facts}) == len({f.relation for f in made.facts}) == sizes.facts
    assert all(f"{f.text} ." in episode.context for f in made.facts)
    assert all(is_kept(f, episode.context) for f in made.facts)
    assert episode.context.split().count(RUMOUR) == sizes.rumours
    assert RUMOUR not in (episode.future + episode.local).split()
    told = {f.name for f in made.facts}
    assert not told & set(episode.local.split())


def test_every_word_is_one_token_and_none_is_unknown():
    tokenizer, words = world_tokenizer(), world_words()
    assert len(words) == len(set(words))
    ids = FRAME.ids(" ".join(words))
    assert len(ids) == len(words)
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == " ".join(words)
    assert tokenizer.convert_tokens_to_ids([END, GIST]) == [tokenizer.eos_token_id, len(tokenizer) - len(words) - 1]
    assert {len(v) for v in VALUES.values()} == {32}


def test_the_seed_fixes_every_document():
    sizes = WorldSizes(60)
    first, again, other = (list(islice(world_episodes(seed, sizes), 5)) for seed in (1, 1, 2))
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))
    assert WorldRun().draw(3) == WorldRun().draw(3) != WorldRun().draw(4)
    assert WorldRun(seed=2).draw(3) != WorldRun().draw(3)


FACT = Fact("code", "Alra", "1007")


@pytest.mark.parametrize(
    ("gist", "kept"),
    [
        ("code Alra 1007", True),
        ("river code the Alra mill 1007 .", True),  # filler between the words does not part them
        ("Alra 1007", False),
        ("code Alra 1288 1007", False),
        ("code Alra code 1007", False),
        ("rumour Alra 1007", False),
        ("code rumour Alra 1007", False),
        ("1007 Alra", False),
        ("code 1007", False),
        ("code Alra", False),
        ("", False),
        ("code Beton 1288 code Alra 1007", True),
    ],
)
def test_a_fact_is_kept_by_name_and_value(gist, kept):
    assert is_kept(FACT, gist) is kept


def test_invented_words_are_counted():
    assert invented("river code Alra", "the river code") == 1
    assert invented("", "the river") == 0
    assert invented("Alra Alra", "the") == 2
    assert named("rumour Alra 1007 lives the river 14-Jan") == "Alra 1007 14-Jan"
    assert named(f"code {FACT.name} {FACT.value} .") == f"{FACT.name} {FACT.value}"


def test_lessons_grow_from_short_to_full():
    sizes, recipe = WorldSizes(), WorldLmRecipe(steps=100)
    first, last = curriculum(0, sizes, recipe), [curriculum(step, sizes, recipe) for step in range(80, 100)]
    assert max(len(e.context.split()) for e in first) < 70
    assert max(len(e.context.split()) for lesson in last for e in lesson) == sizes.context
    assert curriculum(7, sizes, recipe) == curriculum(7, sizes, recipe)


def test_padding_has_no_part_in_the_loss():
    model = tiny_causal("lfm2", len(FRAME.tokenizer), positions=256)
    short, long = (world_episode(random.Random(n), WorldSizes(c)).episode for n, c in ((1, 30), (2, 60)))
    with torch.no_grad():
        alone = sequence_loss(model, FRAME.batch([short.context], [short]))
        both = sequence_loss(model, FRAME.batch([short.context, long.context], [short, long]))
        other = sequence_loss(model, FRAME.batch([long.context], [long]))
    assert min(alone, other) - 1e-4 <= both <= max(alone, other) + 1e-4


def test_random_words_fill_their_room():
    context = world_episode(random.Random(1), WorldSizes(60)).episode.context
    gist = random_words(FRAME, 1)(context, 9)
    assert len(FRAME.ids(gist)) == 9
    assert random_words(FRAME, 1)(context, 9) == gist != random_words(FRAME, 2)(context, 9)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    from tests.helpers.tiny_causal import cpu_only

    out = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        cpu_only(patch)
        result = CliRunner().invoke(app, ["train", "world", "--quick", "--out", str(out), "--seed", "1"])
    assert result.exit_code == 0, result.stderr
    return out, result


@pytest.mark.slow
def test_a_quick_run_writes_a_report(world):
    out, result = world
    report = (out / "report.md").read_text(encoding="utf-8")
    assert result.stdout.rstrip("\n") == report.rstrip("\n")
    for name in ("selective", "generative", "random words", "optimum"):
        assert f"| 1 | {name}" in report
    assert "nan" not in report
    found = json.loads((out / "1/result.json").read_text(encoding="utf-8"))
    assert report_world([found]) == report
    assert found["optimum"]["facts_kept"] == 1
    assert found["optimum"]["rumour_words"] == found["optimum"]["invented"] == 0
    assert set(found["selective"]) == {"0.05", "0.095", "0.2"}
    for rate, row in found["selective"].items():
        assert row["share"] <= float(rate)
        assert row["invented"] == 0
    for policy in ("selective", "generative"):
        assert (out / "1" / policy / "curves.html").stat().st_size > 1_000
        assert (out / "1" / policy / "generator/model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["selective", "generative"])
def test_its_checkpoints_load(world, policy):
    out, _ = world
    compressor = load_compressor(str(out / "1" / policy / "checkpoint"), device="cpu")
    assert compressor.model_id == "gist-world@1"
    context = world_episode(random.Random(5), WorldSizes()).episode.context
    budget = Budget(tokens=24, tokenizer=lambda text: len(text.split()))
    [result] = compressor.compress([Passage("a", context)], budget=budget)
    assert 0 < len(result.text.split()) <= 24
    assert invented(result.text, context) == 0 or policy == "generative"


@pytest.mark.slow
def test_a_run_that_is_done_is_only_measured_again(world, monkeypatch):
    out, result = world
    weights = (out / "1/selective/generator/model.safetensors").read_bytes()
    again = CliRunner().invoke(app, ["train", "world", "--quick", "--out", str(out), "--seed", "1"])
    assert again.exit_code == 0, again.stderr
    assert again.stdout == result.stdout
    assert (out / "1/selective/generator/model.safetensors").read_bytes() == weights
