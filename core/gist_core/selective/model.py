"""The selective network: one pass gives keep logits, relevance and both cosines.

The interaction branch lets query and passage see each other. The embedding branch reads the passage as the pretrained
sentence encoder did: pooled over a unit or a window it gives the cosines that fine-tuning cannot forget. Both start as
copies of the same layers. Below them there may be shared layers, through which query and passage run apart (as in
DeFormer, arXiv 2005.00697, and PreTTR, arXiv 2004.14255), so that the query passes those once per call, not once per
window; what ships has none (core/decisions/0021-from-the-first-layer.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from gist_core.selective.config import SelectiveConfig
from gist_core.selective.encoder import Embeddings, Layer, run_layers

ASKED, FREE = 0, 1
"""Columns of the keep head: of calls with a query, and without."""

FRAME = 2
"""Tokens around a query or a window, [CLS] and [SEP]; all that an empty query has."""


@dataclass(frozen=True, slots=True)
class QueryState:
    """An encoded query: ``hidden`` (1, Q, H) after the shared layers, ``embedding`` (H,) of unit length."""

    hidden: Tensor
    embedding: Tensor


@dataclass(frozen=True, slots=True)
class WindowOutput:
    """Per window: ``keep`` (B, L) token logits, ``relevance`` (B,) logits, ``embeddings`` (B, L, H) token vectors."""

    keep: Tensor
    relevance: Tensor
    embeddings: Tensor


class SelectiveModel(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: SelectiveConfig) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.shared = nn.ModuleList(Layer(config) for _ in range(config.shared_layers))
        self.embedding_branch = nn.ModuleList(Layer(config) for _ in range(config.branch_layers))
        self.interaction_branch = nn.ModuleList(Layer(config) for _ in range(config.branch_layers))
        self.side = nn.Parameter(torch.zeros(2, config.hidden_size))  # tells query from passage
        self.keep_head = nn.Linear(config.hidden_size, 2)  # columns ASKED and FREE
        self.relevance_head = nn.Linear(2 * config.hidden_size, 1)

    def encode_query(self, ids: Tensor) -> QueryState:
        """(1, Q) ids with [CLS] and [SEP]; an empty query is just those two."""
        hidden = run_layers(self.shared, self.embeddings(ids), None)
        pooled = run_layers(self.embedding_branch, hidden, None)[0].mean(dim=0)
        return QueryState(hidden, nn.functional.normalize(pooled, dim=0))

    def encode_windows(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(B, L) ids and mask (True = real) -> (B, L, H) after the shared layers; the query plays no part."""
        return run_layers(self.shared, self.embeddings(ids), mask[:, None, None, :])

    def embed(self, shared: Tensor, mask: Tensor) -> Tensor:
        """(B, L, H) after the shared layers -> (B, L, H) of the embedding branch."""
        return run_layers(self.embedding_branch, shared, mask[:, None, None, :])

    def interact(self, query: Tensor, query_mask: Tensor, shared: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Query (B, Q, H) and windows (B, L, H) with masks -> keep logits (B, L) and relevance logits (B,)."""
        joined = torch.cat([query + self.side[0], shared + self.side[1]], dim=1)
        key_mask = torch.cat([query_mask, mask], dim=1)[:, None, None, :]
        hidden = run_layers(self.interaction_branch, joined, key_mask)
        length = query.shape[1]
        summary = torch.cat([hidden[:, 0], hidden[:, length]], dim=-1)  # both [CLS]
        keep = self.keep_head(hidden[:, length:])
        free = (query_mask.sum(dim=1) <= FRAME)[:, None]
        return torch.where(free, keep[..., FREE], keep[..., ASKED]), self.relevance_head(summary).squeeze(-1)

    def forward(self, query: QueryState, ids: Tensor, mask: Tensor) -> WindowOutput:
        """One query over a batch of windows: ids (B, L) and mask (B, L), True = real."""
        shared = self.encode_windows(ids, mask)
        rows = ids.shape[0]
        states = query.hidden.expand(rows, -1, -1)
        keep, relevance = self.interact(states, mask.new_ones(states.shape[:2]), shared, mask)
        return WindowOutput(keep, relevance, self.embed(shared, mask))
