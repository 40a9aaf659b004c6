"""The selective policy's warm start: it learns which words of C the teacher looks at when it reads F.

The gradient of log p(F | C, L) with respect to what stands at each place of C says how much the prediction hangs on
it (Simonyan et al. 2014, arXiv 1312.6034). It is there for every causal model and costs one backward pass, where the
reward of a sampled gist is one number for hundreds of words. The policy, which sees no F, learns the expectation; what
redundancy and the generator make of it is left to the co-training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from gist_core.training.cotrain.episodes import Episode
from gist_core.training.cotrain.gists import unit_means
from gist_core.training.cotrain.imitate import Loss
from gist_core.training.cotrain.policy import UnitScores
from gist_core.training.cotrain.scoring import Frame, future_log_probs
from gist_core.training.rewards import log_likelihood


def saliency(teacher: Any, frame: Frame, episodes: Sequence[Episode]) -> list[Tensor]:
    """For each episode the (N,) norms of the gradient of log p(F) with respect to the embeddings of C's N tokens."""
    embed = teacher.get_input_embeddings()
    batch = frame.batch([e.context for e in episodes], episodes).to(embed.weight.device)
    with torch.enable_grad():
        embedded = embed(batch.ids).detach().requires_grad_(True)  # noqa: FBT003 - torch's own signature
        found = log_likelihood(future_log_probs(teacher, batch, embedded), batch.target, batch.real)
        (gradient,) = torch.autograd.grad(found.sum(), embedded)
    begins = (~batch.mask).sum(dim=1) - (~batch.real).sum(dim=1) + 1  # padding on the left, and the first token
    norms = gradient.float().norm(dim=-1)
    counts = [len(ids) for ids in frame.many([e.context for e in episodes])]
    return [row[int(at) : int(at) + count] for row, at, count in zip(norms, begins, counts, strict=True)]


def saliency_loss(policy: Callable[[Sequence[str]], UnitScores], teacher: Any, frame: Frame) -> Loss:
    """Mean over episodes of the cross-entropy of the policy's softmax over units on the mean saliency of each unit.

    Its optimum is a score that is the logarithm of the expected saliency per token, up to a constant.
    """

    def loss(episodes: Sequence[Episode]) -> Tensor:
        salient = saliency(teacher, frame, episodes)
        scores = policy([e.context for e in episodes])
        total = scores.score.sum() * 0.0
        for episode, units, own, found in zip(episodes, scores.units, scores.split(), salient, strict=True):
            means = unit_means(units, frame.starts(episode.context), found.cpu().numpy())
            share = torch.as_tensor(means / max(means.sum(), 1e-12), dtype=own.dtype, device=own.device)
            total = total - (share * torch.log_softmax(own, dim=0)).sum()
        mean: Tensor = total / len(episodes)
        return mean

    return loss
