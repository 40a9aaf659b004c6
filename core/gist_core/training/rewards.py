"""What a gist is worth. Pure: tensors in, tensors out; natural logarithms, per token of F.

Notation: p_T the teacher that reads C and L, p_G(. | g) the generator that reads a gist g and L, p_G(. | -) with
nothing but L. T tokens of F, of which ``real`` are no padding; V tokens could stand at each place.
"""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(values: Tensor, real: Tensor) -> Tensor:
    """(B, T) -> (B,) means over the real tokens; 0 where there is none."""
    return (values * real).sum(dim=-1) / real.sum(dim=-1).clamp(min=1)


def log_likelihood(log_probs: Tensor, target: Tensor, real: Tensor) -> Tensor:
    """(B, T, V) and (B, T) token ids -> (B,) mean log-probability of the tokens that came."""
    return masked_mean(log_probs.gather(-1, target[..., None]).squeeze(-1), real)


def kl(teacher: Tensor, generator: Tensor, real: Tensor) -> Tensor:
    """(B, T, V) twice -> (B,) mean KL(teacher || generator)."""
    return masked_mean((teacher.exp() * (teacher - generator)).sum(dim=-1), real)


def gain(with_gist: Tensor, local_only: Tensor) -> Tensor:
    """(B,) log-likelihoods of F -> what the gist adds to the local window: log p_G(F | g) - log p_G(F | -)."""
    return with_gist - local_only


def expected_gain(kl_local: Tensor, kl_gist: Tensor) -> Tensor:
    """(B,) KLs from the teacher -> the gain expected over futures drawn from the teacher instead of the one that came.

    E over F ~ p_T of log p_G(F | g) - log p_G(F | -) = KL(p_T || p_G(. | -)) - KL(p_T || p_G(. | g)), at the prefixes
    that came: the same mean as ``gain`` where the teacher is right, and none of the noise of a single future.
    """
    return kl_local - kl_gist


def length_cost(tokens: Tensor, context_tokens: Tensor, price: Tensor | float) -> Tensor:
    """(B,) sizes -> price * |g| / |C|; a negative price (while the rate is too low) rewards length."""
    return price * tokens / context_tokens.clamp(min=1)


def reward(gained: Tensor, cost: Tensor) -> Tensor:
    """(B,) gain less cost."""
    return gained - cost


def advantages(rewards: Tensor, eps: float = 1e-4) -> Tensor:
    """(B, G) rewards of the G gists of each context -> (r - mean) / (std + eps) (GRPO, arXiv 2402.03300)."""
    centred = rewards - rewards.mean(dim=-1, keepdim=True)
    return centred / (rewards.std(dim=-1, keepdim=True, correction=0) + eps)


def normalised_gain(gained: Tensor, full: Tensor) -> Tensor:
    """Mean gain of the gists over the mean gain of the full context: 1 as good as everything, 0 as good as nothing.

    A ratio of means, not a mean of ratios: contexts that tell nothing of their future would have no ratio. NaN where
    the full context gains nothing.
    """
    whole = full.mean()
    return torch.where(whole == 0, torch.nan, gained.mean() / whole)


def kl_ratio(kl_local: Tensor, kl_gist: Tensor) -> Tensor:
    """Mean KL with the local window alone over mean KL with the gist: 1 for an empty gist, the more the better."""
    return kl_local.mean() / kl_gist.mean()
