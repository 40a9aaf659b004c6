"""The generative policy: a causal LM that reads C and writes the gist, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gist_core.training.cotrain.scoring import Frame


@dataclass(frozen=True, slots=True)
class Written:
    """N gists: ``texts``, and what was written to the end token: ``ids`` (N, P + T), ``mask`` (N, P + T) True = real,

    ``of_gist`` (N, T) True where a token is the gist's own or the end behind it.
    """

    texts: list[str]
    ids: Tensor
    mask: Tensor
    of_gist: Tensor


class Writer(nn.Module):
    """A causal LM behind the frame ``[begin] + before + C + after``; what it writes ends with the end token.

    The frame is the one in which a checkpoint of it is asked (``generative/framing.py``).

    Args:
        lm: The model; trained in place.
        frame: Its tokenizer.
        before: Text before C, as an instruction to a model that follows any.
        after: Text behind C; special tokens written here are special.
        context_tokens: Tokens of the contexts it is trained on.
    """

    def __init__(self, lm: Any, frame: Frame, before: str, after: str, context_tokens: int = 512) -> None:
        super().__init__()
        self.lm, self.frame = lm, frame
        self.before, self.after, self.context_tokens = before, after, context_tokens
        self._before, self._after = (frame.tokenizer(t, add_special_tokens=False)["input_ids"] for t in (before, after))
        begin = frame.tokenizer.bos_token_id
        self._begin = [] if begin is None else [int(begin)]
        self.end: int = frame.tokenizer.eos_token_id

    def prompts(self, contexts: Sequence[str]) -> list[list[int]]:
        """Token ids of what the model reads before it writes."""
        return [[*self._begin, *self._before, *ids, *self._after] for ids in self.frame.many(contexts)]

    @torch.no_grad()
    def write(self, contexts: Sequence[str], most: int, *, sample: bool) -> Written:
        """One gist for each context, of at most ``most`` tokens: sampled from the model as it is, or greedy."""
        prompts = self.prompts(contexts)
        ids, mask = _left_padded(prompts, self.end, next(self.parameters()).device)
        was, _ = self.lm.training, self.lm.eval()
        out = self.lm.generate(
            input_ids=ids,
            attention_mask=mask.long(),
            max_new_tokens=most,
            do_sample=sample,
            temperature=1.0 if sample else None,
            top_k=0 if sample else None,
            top_p=1.0 if sample else None,
            eos_token_id=self.end,
            pad_token_id=self.end,
        )
        self.lm.train(was)
        new = out[:, ids.shape[1] :]
        before_end = (new == self.end).long().cumsum(dim=1)
        of_gist = (before_end - (new == self.end).long()) == 0  # up to the first end token, with it
        texts = self.frame.tokenizer.batch_decode(
            [row[kept & (row != self.end)] for row, kept in zip(new, of_gist, strict=True)],
            skip_special_tokens=True,
            clean_up_tokenization_spaces=False,
        )
        return Written([t.strip() for t in texts], out, torch.cat([mask, of_gist], dim=1), of_gist)

    def given(self, contexts: Sequence[str], gists: Sequence[str]) -> Written:
        """Gists that are to be imitated, in the form of what was written."""
        prompts = self.prompts(contexts)
        own = [[*ids, self.end] for ids in self.frame.many(gists)]
        device = next(self.parameters()).device
        ids, mask = _left_padded(prompts, self.end, device)
        width = max(map(len, own))
        new = torch.full((len(own), width), self.end, device=device)
        of_gist = torch.zeros(new.shape, dtype=torch.bool, device=device)
        for row, found in enumerate(own):
            new[row, : len(found)] = torch.tensor(found, device=device)
            of_gist[row, : len(found)] = True
        return Written(list(gists), torch.cat([ids, new], 1), torch.cat([mask, of_gist], 1), of_gist)

    def forward(self, written: Written) -> Tensor:
        """(N, T, V) log-probabilities in float32 of every token at each place of the gists."""
        return next_log_probs(self.lm, written)


def next_log_probs(lm: Any, written: Written) -> Tensor:
    """(N, T, V) log-probabilities of every token at each place of the gists, by any model that reads the same ids."""
    positions = (written.mask.cumsum(dim=1) - 1).clamp(min=0)
    logits = lm(
        input_ids=written.ids,
        attention_mask=written.mask.long(),
        position_ids=positions,
        logits_to_keep=written.of_gist.shape[1] + 1,
    ).logits
    return torch.log_softmax(logits[:, :-1].float(), dim=-1)


def _left_padded(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad, device=device)
    mask = torch.zeros(ids.shape, dtype=torch.bool, device=device)
    for at, row in enumerate(rows):
        ids[at, width - len(row) :] = torch.tensor(row, device=device)
        mask[at, width - len(row) :] = True
    return ids, mask
