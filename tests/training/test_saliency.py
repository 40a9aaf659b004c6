"""The warm start of the selective policy: what the teacher looks at, and that a policy learns it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gist_core.passage import Span
from gist_core.selective.engine import load_parts
from gist_core.training.cotrain.episodes import Episode
from gist_core.training.cotrain.gists import unit_means
from gist_core.training.cotrain.imitate import imitate
from gist_core.training.cotrain.policy import SelectivePolicy
from gist_core.training.cotrain.recipe import word_parts
from gist_core.training.cotrain.saliency import saliency, saliency_loss
from gist_core.training.cotrain.scoring import Frame, future_log_probs
from gist_core.training.hub import teacher_and_learner
from gist_core.training.rewards import log_likelihood
from tests.helpers.tiny import save_tiny
from tests.helpers.tiny_causal import FAMILIES, speech_tokenizer, tiny_causal

FRAME = Frame(speech_tokenizer(), "\n\n")
EPISODES = [
    Episode("The moon is far away, and we shall go there.", " Before this decade", " is out"),
    Episode("Peace is a process.", " It is a way", " of solving problems every day"),
]


def _frozen(family):
    return tiny_causal(family, len(FRAME.tokenizer)).eval().requires_grad_(False)


def _policy(folder):
    return SelectivePolicy(word_parts(load_parts(save_tiny(folder / "tiny"))), whole=False)


@pytest.mark.parametrize("family", FAMILIES)
def test_saliency_is_the_size_of_the_change_that_a_nudge_makes(family):
    model, episode = _frozen(family), EPISODES[1]
    [found] = saliency(model, FRAME, [episode])
    batch = FRAME.batch([episode.context], [episode])
    embedded = model.get_input_embeddings()(batch.ids)
    at, step = 3, 1e-2  # a token of C, behind the first token

    def likelihood(change):
        moved = embedded.clone()
        moved[0, 1 + at] += change
        with torch.no_grad():
            return float(log_likelihood(future_log_probs(model, batch, moved), batch.target, batch.real))

    nudges = step * torch.eye(embedded.shape[-1])
    slope = torch.tensor([(likelihood(d) - likelihood(-d)) / (2 * step) for d in nudges])
    assert float(slope.norm()) == pytest.approx(float(found[at]), rel=0.02)


def test_each_episode_has_a_number_for_each_token_however_it_is_padded():
    model = _frozen("llama")
    both = saliency(model, FRAME, EPISODES)
    for episode, found in zip(EPISODES, both, strict=True):
        assert len(found) == len(FRAME.ids(episode.context))
        assert torch.allclose(found, saliency(model, FRAME, [episode])[0], rtol=1e-3, atol=1e-7)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")  # peft asks for it
def test_adapters_play_no_part_in_what_the_teacher_looks_at():
    base = tiny_causal("llama", len(FRAME.tokenizer))
    plain = saliency(_frozen("llama"), FRAME, EPISODES)
    teacher, learner = teacher_and_learner(base, lora=True)
    for name, parameter in learner.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    for one, other in zip(plain, saliency(teacher, FRAME, EPISODES), strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-7)


def test_the_policy_learns_where_the_teacher_looks(tmp_path):
    teacher, policy = _frozen("llama"), _policy(tmp_path)
    loss = saliency_loss(policy, teacher, FRAME)
    before = float(loss(EPISODES).detach())
    optimizer = torch.optim.AdamW(policy.trained(), lr=3e-3, weight_decay=0.0)
    imitate(policy, (optimizer,), loss, lambda _: EPISODES, 150, 1, tmp_path / "run")
    shares = [
        unit_means(units, FRAME.starts(e.context), found.numpy())
        for e, units, found in zip(
            EPISODES, policy([e.context for e in EPISODES]).units, saliency(teacher, FRAME, EPISODES), strict=True
        )
    ]
    least = np.mean([-(s / s.sum() * np.log(s / s.sum())).sum() for s in shares])
    assert float(loss(EPISODES).detach()) < least + 0.2 * (before - least)


def test_what_a_context_scores_does_not_depend_on_its_batch(tmp_path):
    policy = _policy(tmp_path).eval()
    contexts = ["", *(e.context for e in EPISODES), "one word more " * 40]
    together = policy(contexts)
    assert [len(u) for u in together.units] == [0, 10, 4, 120]
    for context, own in zip(contexts, together.split(), strict=True):
        assert torch.allclose(own, policy([context]).score, atol=1e-5)


def test_means_over_units_leave_a_unit_without_tokens_at_nothing():
    units = [Span(0, 3), Span(4, 5), Span(6, 9)]
    means = unit_means(units, np.array([0, 2, 6]), np.array([1.0, 3.0, 5.0], dtype=np.float32))
    assert means.tolist() == [2.0, 0.0, 5.0]
