"""What gists gain with the generator, measured against the teacher. No gradient leaves here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gist_core.training.cotrain.episodes import Episode
from gist_core.training.cotrain.scoring import Frame, FrameBatch, future_log_probs
from gist_core.training.rewards import expected_gain, kl

_LOGITS = 48_000_000  # numbers of (gists, T, V) that are held at once


@dataclass(frozen=True, slots=True)
class Judge:
    """Of B episodes: ``teacher`` (B, T, V) log-probabilities of F given C and L, ``kl_local`` (B,) of L alone."""

    generator: Any
    frame: Frame
    episodes: Sequence[Episode]
    teacher: Tensor
    kl_local: Tensor

    def gains(self, gists: Sequence[str], owners: Sequence[int]) -> Tensor:
        """(N,) expected gain, in nats per token of F, of gists of the episodes ``owners``."""
        return expected_gain(self.kl_local[list(owners)], self.divergences(gists, owners))

    @torch.no_grad()
    def divergences(self, gists: Sequence[str], owners: Sequence[int]) -> Tensor:
        """(N,) KL(teacher || generator with the gist), mean over F."""
        found = []
        for at, batch in self._batches(gists, owners):
            reference = self.teacher[at, : batch.target.shape[1]]  # the longest F of all may not be among these
            found.append(kl(reference, future_log_probs(self.generator, batch), batch.real))
        return torch.cat(found) if found else self.kl_local[:0]

    def _batches(self, gists: Sequence[str], owners: Sequence[int]) -> Iterator[tuple[list[int], FrameBatch]]:
        rows = max(1, _LOGITS // (self.teacher.shape[1] * self.teacher.shape[2]))
        for first in range(0, len(gists), rows):
            at = list(owners[first : first + rows])
            yield (
                at,
                self.frame.batch(gists[first : first + rows], [self.episodes[i] for i in at]).to(self.teacher.device),
            )


@torch.no_grad()
def start_judge(teacher: Any, generator: Any, frame: Frame, episodes: Sequence[Episode]) -> Judge:
    """Let the teacher read everything and the generator the local window alone."""
    device = next(generator.parameters()).device
    full = frame.batch([e.context for e in episodes], episodes).to(device)
    reference = future_log_probs(teacher, full)
    local = frame.batch([""] * len(episodes), episodes).to(device)
    return Judge(generator, frame, episodes, reference, kl(reference, future_log_probs(generator, local), local.real))
