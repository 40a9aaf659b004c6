"""Credit for words whose worth is known: a judge that adds up values, and scores that are free numbers."""

from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gist_core.passage import Span
from gist_core.selective.engine import load_parts
from gist_core.selective.signals import units_of
from gist_core.training.cotrain.controls import head, in_order, tail
from gist_core.training.cotrain.credit import Drawn, GroupCredit, chances
from gist_core.training.cotrain.episodes import Episode
from gist_core.training.cotrain.gists import gist_text, random_mask, runs
from gist_core.training.cotrain.objective import SelectiveObjective, _fitting, price_change
from gist_core.training.cotrain.policy import SelectivePolicy, UnitScores
from gist_core.training.cotrain.recipe import word_parts
from gist_core.training.cotrain.scoring import Frame
from tests.helpers.tiny import save_tiny
from tests.helpers.tiny_causal import SPEECHES, speech_tokenizer

WORTH = {"moon": 0.05, "decade": 0.02, "the": 0.0, "noise": -0.03, "gold": 0.08, "of": 0.0, "peace": 0.04}
CONTEXTS = ["the moon noise decade", "gold of peace the"]


class AddingJudge:
    """A gist gains the sum of its words' values."""

    episodes = tuple(Episode(c, "", "") for c in CONTEXTS)

    def gains(self, texts, owners):
        assert len(texts) == len(owners)
        return torch.tensor([sum(WORTH[w] for w in text.split()) for text in texts])


def _spans(text):
    return [s.span for s in units_of(text, "word")]


def _learn(credit, steps, rate, *, price=0.0, fragment_price=0.0):
    """The scores of all words after so many steps on free numbers, by word."""
    units = [_spans(c) for c in CONTEXTS]
    scores = torch.zeros(sum(map(len, units)), requires_grad=True)
    owner = torch.tensor([b for b, own in enumerate(units) for _ in own])
    optimizer = torch.optim.Adam([scores], lr=rate)
    for step in range(steps):
        rngs = [np.random.default_rng([step, b]) for b in range(len(units))]
        found = UnitScores(scores, owner, units)
        masks = [credit.masks(rng, chances(own, price)) for own, rng in zip(found.split(), rngs, strict=True)]
        drawn = Drawn(found, price, masks, fragment_price)
        optimizer.zero_grad()
        credit.loss(drawn, AddingJudge()).backward()
        optimizer.step()
    words = [w for c in CONTEXTS for w in c.split()]
    return dict(zip(words, scores.detach().tolist(), strict=True)), scores.grad


def test_groups_raise_the_words_that_are_worth_something():
    found, _ = _learn(GroupCredit(samples=8), steps=300, rate=0.05)
    assert min(found["moon"], found["decade"], found["gold"], found["peace"]) > 1
    assert found["noise"] < -0.5
    assert max(abs(found["of"]), abs(found["the"])) < found["peace"]


@pytest.mark.parametrize("chance", [0.1, 0.5, 0.9])
def test_a_word_is_kept_as_often_as_its_chance_says(chance):
    masks = GroupCredit(samples=3_000).masks(np.random.default_rng(7), np.full(12, chance))
    assert np.mean(masks, axis=0) == pytest.approx(np.full(12, chance), abs=0.04)


def test_a_price_lowers_every_chance_and_keeps_the_order():
    scores = torch.tensor([5.0, -2.0, 0.0])
    free, dear = chances(scores, 0.0), chances(scores, 2.0)
    assert (dear < free).all()
    assert np.argsort(dear).tolist() == np.argsort(free).tolist() == [1, 2, 0]
    assert dear == pytest.approx(torch.sigmoid(torch.tensor([3.0, -4.0, -2.0])).numpy())


def test_equal_gists_teach_nothing_but_the_decay():
    units = [_spans(c) for c in CONTEXTS]
    scores = torch.tensor([1.0, -1.0, 2.0, 0.0, 1.0, 1.0, 0.0, -2.0], requires_grad=True)
    masks = [[np.ones(4, dtype=np.bool_)] * 4] * 2
    drawn = Drawn(UnitScores(scores, torch.zeros(8), units), 0.0, masks)
    GroupCredit(samples=4).loss(drawn, AddingJudge()).backward()
    assert torch.equal(scores.grad.sign(), scores.detach().sign())  # going down the gradient brings all nearer to zero


def test_a_gist_in_pieces_is_worth_less():
    units = [_spans(c) for c in CONTEXTS]
    pieces, whole = np.array([True, False, True, False]), np.array([True, True, False, False])
    drawn = Drawn(
        UnitScores(torch.zeros(8), torch.zeros(8), units), 0.0, [[pieces, whole], [whole]], fragment_price=1.0
    )
    [first, second] = drawn.worth(AddingJudge())
    assert first.tolist() == pytest.approx([-0.03 - 2 / 4, 0.05 - 1 / 4])
    assert second.tolist() == pytest.approx([0.08 - 1 / 4])


@given(st.floats(0, 1), st.floats(0.01, 0.9))
def test_too_much_makes_dearer_and_too_little_cheaper(found, target):
    change = price_change(found, target)
    assert abs(change) <= 1.5
    if found > target:
        assert change > 0
    elif found < target:
        assert change < 0
    else:
        assert change == 0
    assert price_change(min(1.0, found + 0.01), target) >= change


UNITS = st.lists(st.tuples(st.floats(-20, 20), st.integers(0, 9)), max_size=30)


@given(UNITS, st.integers(0, 60))
def test_what_is_fitted_in_never_exceeds_the_room_and_leaves_none_that_fits(units, room):
    logits = np.array([x for x, _ in units], dtype=np.float32)
    tokens = np.array([n for _, n in units], dtype=np.float32)
    chosen = _fitting(logits, tokens, room)
    assert logits[chosen].tolist() == sorted(logits[chosen].tolist(), reverse=True)
    mask = np.isin(np.arange(len(units)), chosen)
    assert tokens[mask].sum() <= room
    left = room - tokens[mask].sum()
    assert all(n > left for n in tokens[~mask])
    if mask.any() and not mask.all() and len(set(tokens)) == 1:
        assert logits[mask].min() >= logits[~mask].max()


@given(st.lists(st.booleans(), max_size=30))
def test_runs_are_counted(kept):
    assert runs(np.array(kept, dtype=np.bool_)) == sum(value for value, _ in groupby(kept))


def test_random_gists_are_of_every_kind():
    units = [Span(10 * i, 10 * i + 1 + i % 9) for i in range(200)]
    rng = np.random.default_rng(0)
    masks = [random_mask(rng, units) for _ in range(400)]
    assert all(m.shape == (200,) for m in masks)
    shares = np.array([m.mean() for m in masks])
    assert 0.05 < (shares == 0).mean() < 0.15
    assert 0.02 < (shares == 1).mean() < 0.10
    between = shares[(shares > 0) & (shares < 1)]
    assert between.min() < 0.05
    assert between.max() > 0.5
    some = [m for m in masks if 20 < m.sum() < 60]
    pieces = np.array([m.sum() / runs(m) for m in some])  # words a piece
    assert (pieces > 2.5).mean() > 0.3  # stretches
    assert (pieces < 1.7).mean() > 0.3  # lone words
    lengths = np.array([u.end - u.start for u in units])
    assert max(lengths[m].mean() for m in some) > lengths.mean() + 1  # long ones preferred


@given(st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_random_gists_of_the_shortest_texts(count, seed):
    units = [Span(2 * i, 2 * i + 1) for i in range(count)]
    mask = random_mask(np.random.default_rng(seed), units)
    assert mask.shape == (count,)
    assert np.array_equal(mask, random_mask(np.random.default_rng(seed), units))


LINES = (
    "We choose\nto go\nto the moon,\n\n- in this decade\n- and do\n- the other things;\nnot because\nthey are easy.\n"
)


@pytest.fixture(scope="module")
def contexts():
    speech = (SPEECHES / "1961-kennedy.txt").read_text(encoding="utf-8")
    return [speech[at : at + 700] for at in range(0, 4_200, 700)] + [LINES * 4, "\n".join(LINES.split())]


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3, 0.7])
def test_the_best_gist_holds_to_its_rate(tmp_path, contexts, rate):
    frame = Frame(speech_tokenizer(), "\n\n")
    policy = SelectivePolicy(word_parts(load_parts(save_tiny(tmp_path / "tiny"))), whole=False)
    objective = SelectiveObjective(policy, frame, GroupCredit())
    for context, gist in zip(contexts, objective.best(contexts, rate), strict=True):
        assert len(frame.ids(gist)) <= rate * len(frame.ids(context))
        words = iter(context.split())
        assert all(word in words for word in gist.split())  # in the order of the text


def test_words_that_were_counted_before_count_the_same(tmp_path, contexts):
    frame = Frame(speech_tokenizer(), "\n\n")
    policy = SelectivePolicy(word_parts(load_parts(save_tiny(tmp_path / "tiny"))), whole=False)
    objective = SelectiveObjective(policy, frame, GroupCredit())
    first = objective.kept(contexts, (0.1, 0.3))
    assert objective.kept(contexts[:3], (0.1, 0.3)) == first[:3]
    assert SelectiveObjective(policy, frame, GroupCredit()).kept(contexts[:3], (0.1, 0.3)) == first[:3]


@pytest.mark.parametrize("room", [0, 1, 7, 40])
def test_controls_hold_to_their_room(contexts, room):
    frame = Frame(speech_tokenizer(), "\n\n")
    for make in (head(frame), tail(frame), in_order(frame, lambda _, units: range(0, len(units), 3))):
        for context in contexts:
            assert len(frame.ids(make(context, room))) <= room


def test_a_gist_is_rendered_as_a_compressor_renders_it():
    mask = np.array([True, False, True, True])
    assert gist_text("the moon\nnoise decade", _spans("the moon\nnoise decade"), mask) == "the\nnoise decade"
