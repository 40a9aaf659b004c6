"""What the selective model is trained on. Pure: tensors in, a scalar out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def token_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy per token against soft labels: answer 1, rest of the evidence 0.5, outside 0.

    Args:
        logits: (N,).
        labels: (N,); negative labels are ignored.
    """
    known = labels >= 0
    if not bool(known.any()):
        return logits.sum() * 0.0
    return F.binary_cross_entropy_with_logits(logits[known].float(), labels[known])


def unit_targets(labels: Tensor, unit: Tensor, count: int) -> Tensor:
    """(count,) 1 where at least half of a unit's tokens are evidence, 0 where none, else and where unknown -1."""
    ones = torch.ones_like(labels)
    total = ones.new_zeros(count).index_add(0, unit, ones)
    evidence = ones.new_zeros(count).index_add(0, unit, (labels > 0).float())
    unknown = ones.new_zeros(count).index_add(0, unit, (labels < 0).float())
    share = evidence / total.clamp(min=1)
    target = torch.where(share >= 0.5, 1.0, torch.where(share > 0, -1.0, 0.0))
    return torch.where(unknown > 0, -1.0, target)


def unit_loss(scores: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy per unit; positives weighted 4 since most units are negative.

    Args:
        scores: (U,) pooled keep logits.
        targets: (U,) 1, 0, or -1 to ignore.
    """
    known = targets >= 0
    if not bool(known.any()):
        return scores.sum() * 0.0
    return F.binary_cross_entropy_with_logits(scores[known], targets[known], pos_weight=scores.new_tensor(4.0))


def ranking_loss(scores: Tensor, targets: Tensor, group: Tensor, groups: int) -> Tensor:
    """Listwise loss: -log of the share of the softmax mass, within a question, that lies on its evidence.

    Args:
        scores: (U,) final unit scores.
        targets: (U,) 1, 0, or -1 to ignore.
        group: (U,) int64, the question of each unit, below ``groups``.
        groups: Number of questions; those without evidence count nothing.
    """
    weights = scores.clamp(-20, 20).exp()
    mass = weights.new_zeros(groups).index_add(0, group, weights * (targets >= 0))
    good = weights.new_zeros(groups).index_add(0, group, weights * (targets == 1))
    answerable = good > 0
    if not bool(answerable.any()):
        return scores.sum() * 0.0
    return -(good[answerable] / mass[answerable]).log().mean()


def distillation_loss(scores: Tensor, teacher: Tensor, group: Tensor, groups: int) -> Tensor:
    """Listwise distillation: the Kullback-Leibler divergence, within a question, of the softmax of the unit scores from

    the teacher's; the mean over questions, in nats. Source: Hinton et al. 2015 (arXiv 1503.02531).

    Args:
        scores: (U,) logits.
        teacher: (U,) logits of the teacher.
        group: (U,) int64, the question of each unit, below ``groups``.
        groups: Number of questions; those without units count nothing.
    """
    wanted, found = (_log_softmax(values.float(), group, groups) for values in (teacher, scores))
    total = (wanted.exp() * (wanted - found)).sum()
    return total / torch.bincount(group, minlength=groups).count_nonzero().clamp(min=1)


def _log_softmax(values: Tensor, group: Tensor, groups: int) -> Tensor:
    """(U,) within each group."""
    highest = values.detach().new_full((groups,), -torch.inf).scatter_reduce(0, group, values.detach(), "amax")
    centred = values - highest[group]
    return centred - centred.new_zeros(groups).index_add(0, group, centred.exp()).log()[group]


def answer_loss(logits: Tensor, answer: Tensor, known: Tensor, group: Tensor, groups: int) -> Tensor:
    """Where words must be chosen, those of the answer: -log of the share of a token of the answer in the softmax over

    it and all tokens of the question that are none; the mean over an answer's tokens, then over the questions.

    Args:
        logits: (N,) keep logits.
        answer: (N,) bool, tokens of the answer.
        known: (N,) bool, tokens that count.
        group: (N,) int64, the question of each token, below ``groups``.
        groups: Number of questions; those without an answer count nothing.
    """
    values = logits.float().clamp(-20, 20)
    others = values.new_zeros(groups).index_add(0, group, values.exp() * (known & ~answer))
    wanted = answer & known
    number = values.new_zeros(groups).index_add(0, group, wanted.float())
    if not bool(wanted.any()):
        return logits.sum() * 0.0
    each = torch.log1p(others[group[wanted]] * (-values[wanted]).exp())
    total = values.new_zeros(groups).index_add(0, group[wanted], each)
    return (total[number > 0] / number[number > 0]).mean()
