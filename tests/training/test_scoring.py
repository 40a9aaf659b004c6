"""Teacher, generator and local window in one frame, on tiny real models of three families."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch

from gist_core.training.cotrain.episodes import Episode
from gist_core.training.cotrain.judge import Judge, start_judge
from gist_core.training.cotrain.scoring import Frame, future_log_probs
from gist_core.training.lm.bpe import END, GIST
from gist_core.training.rewards import kl, log_likelihood
from tests.helpers.tiny_causal import FAMILIES, plain_tokenizer, speech_tokenizer, tiny_causal

FRAME = Frame(speech_tokenizer(), "\n\n")
EPISODES = [
    Episode("We choose to go to the moon in this decade. It is hard.", " That goal", " will serve to organize"),
    Episode("Peace.", " The", " nation"),
    Episode(
        "The Congress met in January of 1961 and heard of 5.2 million men without work, of prices and of the gold that "
        "leaves the country; nothing of it was new.",
        " The economy is in trouble, and we",
        " take office in the wake of seven months of recession",
    ),
]


@lru_cache
def _model(family):
    return tiny_causal(family, len(speech_tokenizer()))


@pytest.fixture(params=FAMILIES)
def model(request):
    return _model(request.param)


@torch.no_grad()
def _scores(model, gists, episodes):
    batch = FRAME.batch(gists, episodes)
    return future_log_probs(model, batch), batch


def test_a_batch_is_padded_around_the_border_before_the_future():
    batch = FRAME.batch(["", "a gist", "x"], EPISODES)
    width = batch.ids.shape[1] - batch.target.shape[1]
    for row, (gist, episode) in enumerate(zip(["", "a gist", "x"], EPISODES, strict=True)):
        before = [FRAME.start, *FRAME.ids(gist), *FRAME.ids("\n\n"), *FRAME.ids(episode.local)]
        future = FRAME.ids(episode.future)
        assert batch.ids[row, :width][batch.mask[row, :width]].tolist() == before
        assert batch.target[row][batch.real[row]].tolist() == future
        assert batch.mask[row].int().diff().ne(0).sum() <= 2  # what is real stands in one piece


def test_the_others_of_a_batch_change_nothing(model):
    gists = ["moon, hard", "", "5.2 million men without work; gold leaves"]
    together, batch = _scores(model, gists, EPISODES)
    for row, (gist, episode) in enumerate(zip(gists, EPISODES, strict=True)):
        alone, own = _scores(model, [gist], [episode])
        length = int(own.real.sum())
        assert torch.allclose(together[row, :length], alone[0], atol=1e-4)
        likelihood = log_likelihood(together, batch.target, batch.real)[row]
        assert likelihood.item() == pytest.approx(log_likelihood(alone, own.target, own.real).item(), abs=1e-4)


def test_what_stands_in_the_frame_is_read(model):
    [one], _ = _scores(model, ["moon"], EPISODES[:1])
    [other], _ = _scores(model, ["gold"], EPISODES[:1])
    assert (one - other).abs().max() > 1e-3


def test_log_probabilities_are_of_the_next_token(model):
    found, batch = _scores(model, ["moon"], EPISODES[:1])
    with torch.no_grad():
        logits = model(input_ids=batch.ids).logits
    whole = torch.log_softmax(logits.float(), dim=-1)[:, -batch.target.shape[1] - 1 : -1]
    assert torch.allclose(found, whole, atol=1e-4)
    assert torch.allclose(found.exp().sum(-1), torch.ones(found.shape[:2]), atol=1e-4)


def test_a_copy_of_the_context_scores_as_the_teacher_does(model):
    judge = start_judge(model, model, FRAME, EPISODES)
    copies = [e.context for e in EPISODES]
    assert judge.divergences(copies, range(3)).abs().max() < 1e-6
    assert torch.allclose(judge.gains(copies, range(3)), judge.kl_local, atol=1e-6)
    assert (judge.kl_local > 1e-3).all()


def test_an_empty_gist_is_the_local_window_alone(model):
    judge = start_judge(model, model, FRAME, EPISODES)
    assert judge.gains([""] * 3, range(3)).abs().max() < 1e-6
    [batch] = [FRAME.batch([""], EPISODES[:1])]
    text = FRAME.ids("\n\n") + FRAME.ids(EPISODES[0].local) + FRAME.ids(EPISODES[0].future)
    assert batch.ids[0].tolist() == [FRAME.start, *text]


def test_gains_keep_to_their_owners(model, monkeypatch):
    judge = start_judge(model, model, FRAME, EPISODES)
    gists, owners = ["moon", "gold leaves", "", "Peace."], [0, 2, 1, 1]
    together = judge.gains(gists, owners)
    monkeypatch.setattr("gist_core.training.cotrain.judge._LOGITS", 1)  # one gist at a time
    assert torch.allclose(judge.gains(gists, owners), together, atol=1e-5)
    assert judge.gains([], []).shape == (0,)
    assert isinstance(judge, Judge)
    assert not together.requires_grad


def test_a_frozen_generator_differs_from_another(model):
    other = tiny_causal("llama", len(speech_tokenizer()), seed=9)
    judge = start_judge(model, other, FRAME, EPISODES[:1])
    full, batch = _scores(other, [EPISODES[0].context], EPISODES[:1])
    expected = kl(judge.teacher, full, batch.real)
    assert torch.allclose(judge.divergences([EPISODES[0].context], [0]), expected, atol=1e-6)
    assert expected > 1e-3


@pytest.mark.parametrize("special", [END, GIST])
def test_a_special_token_in_a_text_is_text(special):
    own = FRAME.tokenizer.convert_tokens_to_ids(special)
    text = f"so {special} on"
    assert own not in FRAME.ids(text)
    assert own not in FRAME.many([text, "else"])[0]
    assert FRAME.tokenizer.decode(FRAME.ids(text)) == text
    batch = FRAME.batch([text], [Episode("c", text, text)])
    assert batch.ids.tolist()[0].count(FRAME.start) == 1
    assert FRAME.many([]) == []


def test_every_text_begins_with_what_the_tokenizer_has():
    assert FRAME.start == FRAME.tokenizer.bos_token_id
    plain = plain_tokenizer()
    assert plain.bos_token_id is None
    assert Frame(plain, "\n").start == plain.eos_token_id
    plain.eos_token = None
    assert Frame(plain, "\n").start == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("family", FAMILIES)
def test_a_gpu_scores_as_the_cpu_does(family):
    model, other = tiny_causal(family, len(speech_tokenizer())), tiny_causal(family, len(speech_tokenizer()), seed=6)
    gists = ["moon", "", "gold leaves"]
    here = start_judge(model, other, FRAME, EPISODES)
    found = here.gains(gists, range(3))
    there = start_judge(model.to("cuda"), other.to("cuda"), FRAME, EPISODES)
    assert there.teacher.is_cuda
    assert torch.allclose(there.kl_local.cpu(), here.kl_local, atol=1e-3, rtol=1e-3)
    assert torch.allclose(there.gains(gists, range(3)).cpu(), found, atol=1e-3, rtol=1e-3)
