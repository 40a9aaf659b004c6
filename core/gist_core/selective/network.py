"""How the network is run over windows: packed on a CPU, padded on a GPU. Tensors in, tensors out, nothing padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from gist_core.selective.batches import balanced_batches, padded_batches
from gist_core.selective.encoder import Layer
from gist_core.selective.int8 import fast_linear
from gist_core.selective.lanes import Lanes, a_lane_a_core
from gist_core.selective.model import ASKED, FRAME, FREE, QueryState, SelectiveModel
from gist_core.selective.windows import padded

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Output:
    """Of B windows with N tokens, special ones counted: ``keep`` (N,) and ``relevance`` (B,).

    ``embeddings`` (M, H): of the M tokens of the windows whose embeddings were not known.
    """

    keep: Tensor
    relevance: Tensor
    embeddings: Tensor


class Network(Protocol):
    """Runs a selective model on one device, which works on as many batches at once as it has ``lanes``."""

    lanes: Lanes

    def batches(self, windows: Sequence[int], queries: Sequence[int]) -> list[list[int]]:
        """Windows as it is given them best, by their places; the lengths of them and of the query of each."""

    def query(self, ids: Sequence[int]) -> QueryState:
        """Encode a query with its special tokens."""

    def score(self, queries: Sequence[QueryState], windows: Sequence[Ints], known: Sequence[bool]) -> Output:
        """Score each window (L,) for the query at the same place; ``known``: its embeddings are not asked for."""

    def read(self, windows: Sequence[Ints]) -> Tensor:
        """(N, H) token vectors of the embedding branch, windows one after the other."""


def start_network(model: SelectiveModel, device: torch.device, dtype: torch.dtype) -> Network:
    """The network as it runs best on the device."""
    model = model.to(device=device, dtype=dtype).eval()
    return PackedNetwork(model) if device.type == "cpu" else PaddedNetwork(model)


class PackedLayer:
    """``encoder.Layer`` over the tokens of many windows in one matrix: no padding, attention window by window."""

    def __init__(self, layer: Layer) -> None:
        projections = (layer.query, layer.key, layer.value)
        self._qkv = fast_linear(torch.cat([p.weight for p in projections]), torch.cat([p.bias for p in projections]))
        self._output = fast_linear(layer.output.weight, layer.output.bias)
        self._up, self._down = (fast_linear(m.weight, m.bias) for m in (layer.up, layer.down))
        self._attention_norm, self._output_norm = layer.attention_norm, layer.output_norm
        self._heads = layer.heads

    def __call__(self, hidden: Tensor, lengths: Sequence[int]) -> Tensor:
        """(N, H), and how many of the N tokens belong to each window -> (N, H)."""
        hidden = self._attention_norm(self._output(self._attend(self._qkv(hidden), lengths)).add_(hidden))
        wide = torch.ops.aten.gelu_(self._up(hidden))  # in its place: fresh memory costs a tenth of the whole call
        normed: Tensor = self._output_norm(self._down(wide).add_(hidden))
        return normed

    def _attend(self, qkv: Tensor, lengths: Sequence[int]) -> Tensor:
        parts, at = [], 0
        for length, group in groupby(lengths):
            count = sum(1 for _ in group)
            part = qkv[at : at + count * length].view(count, length, 3, self._heads, -1)
            q, k, v = part.permute(2, 0, 3, 1, 4)
            parts.append(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(count * length, -1))
            at += count * length
        return torch.cat(parts)


class PackedNetwork:
    """For CPUs: integer arithmetic where it is faster, no token is computed that is not there, a core a batch."""

    batch_tokens = 704  # of a lane: activations stay in the cache, and small (core/decisions/0020-lanes.md)

    def __init__(self, model: SelectiveModel) -> None:
        self.lanes = a_lane_a_core()
        branch = len(model.interaction_branch)
        self._query_share = branch / (len(model.shared) + 2 * branch)  # of the layers, those that a query passes again
        self._embeddings, self._side = model.embeddings, model.side  # not the model: its layers would stay in memory
        self._keep_head, self._relevance_head = model.keep_head, model.relevance_head
        stacks = (model.shared, model.embedding_branch, model.interaction_branch)
        self._shared, self._embedding, self._interaction = ([PackedLayer(m) for m in stack] for stack in stacks)  # type: ignore[arg-type]  # a ModuleList's items are typed as modules

    def batches(self, windows: Sequence[int], queries: Sequence[int]) -> list[list[int]]:
        """As ``Network.batches``."""
        costs = [w + round(self._query_share * q) for w, q in zip(windows, queries, strict=True)]
        return balanced_batches(costs, self.batch_tokens, len(self.lanes))

    def query(self, ids: Sequence[int]) -> QueryState:
        """As ``Network.query``."""
        hidden = self._encode([np.asarray(ids)])
        pooled = _run(self._embedding, hidden, [len(ids)]).mean(dim=0)
        return QueryState(hidden[None], F.normalize(pooled, dim=0))

    def score(self, queries: Sequence[QueryState], windows: Sequence[Ints], known: Sequence[bool]) -> Output:
        """As ``Network.score``."""
        shared = torch.split(self._encode(windows), [len(w) for w in windows])
        new = [window for window, is_known in zip(shared, known, strict=True) if not is_known]
        vectors = _run(self._embedding, torch.cat(new), [len(w) for w in new]) if new else shared[0][:0]
        return Output(*self._interact(queries, shared), vectors)

    def _interact(self, queries: Sequence[QueryState], windows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """As ``SelectiveModel.interact``, each window (L, H) behind its query."""
        pairs = [(q.hidden[0] + self._side[0], w + self._side[1]) for q, w in zip(queries, windows, strict=True)]
        sizes = [len(part) for pair in pairs for part in pair]
        lengths = [len(q) + len(w) for q, w in pairs]
        hidden = _run(self._interaction, torch.cat([part for pair in pairs for part in pair]), lengths)
        parts = torch.split(hidden, sizes)
        asked, read = parts[::2], parts[1::2]
        both = torch.stack([torch.cat([q[0], w[0]]) for q, w in zip(asked, read, strict=True)])  # both [CLS]
        free = torch.tensor([len(q) <= FRAME for q in asked]).repeat_interleave(torch.tensor([len(w) for w in read]))
        keep = self._keep_head(torch.cat(read))
        return torch.where(free, keep[:, FREE], keep[:, ASKED]), self._relevance_head(both).squeeze(-1)

    def read(self, windows: Sequence[Ints]) -> Tensor:
        """As ``Network.read``."""
        return _run(self._embedding, self._encode(windows), [len(w) for w in windows])

    def _encode(self, windows: Sequence[Ints]) -> Tensor:
        ids = torch.from_numpy(np.concatenate(windows))
        at = torch.from_numpy(np.concatenate([np.arange(len(w)) for w in windows]))
        return _run(self._shared, self._embeddings.packed(ids, at), [len(w) for w in windows])


def _run(layers: Sequence[PackedLayer], hidden: Tensor, lengths: Sequence[int]) -> Tensor:
    for layer in layers:
        hidden = layer(hidden, lengths)
    return hidden


class PaddedNetwork:
    """For GPUs: few large kernels over padded windows."""

    batch_tokens = 16_384

    def __init__(self, model: SelectiveModel) -> None:
        self.lanes = Lanes(1)
        self._model = model
        self._device = model.side.device

    def batches(self, windows: Sequence[int], queries: Sequence[int]) -> list[list[int]]:
        """As ``Network.batches``; queries are short beside what is padded."""
        return padded_batches(windows, self.batch_tokens)

    def query(self, ids: Sequence[int]) -> QueryState:
        """As ``Network.query``."""
        return self._model.encode_query(torch.tensor([list(ids)], device=self._device))

    def score(self, queries: Sequence[QueryState], windows: Sequence[Ints], known: Sequence[bool]) -> Output:
        """As ``Network.score``."""
        ids, mask = self._pad(windows)
        shared = self._model.encode_windows(ids, mask)
        keep, relevance = self._model.interact(*_pad_queries(queries), shared, mask)
        vectors = shared[0, :0].float() if all(known) else self._embed(*_new(shared, mask, known))
        return Output(keep[mask].float(), relevance.float(), vectors)

    def read(self, windows: Sequence[Ints]) -> Tensor:
        """As ``Network.read``."""
        ids, mask = self._pad(windows)
        return self._embed(self._model.encode_windows(ids, mask), mask)

    def _embed(self, shared: Tensor, mask: Tensor) -> Tensor:
        return self._model.embed(shared, mask)[mask].float()

    def _pad(self, windows: Sequence[Ints]) -> tuple[Tensor, Tensor]:
        ids, mask = padded(windows, 0)
        return torch.from_numpy(ids).to(self._device), torch.from_numpy(mask).to(self._device)


def _new(shared: Tensor, mask: Tensor, known: Sequence[bool]) -> tuple[Tensor, Tensor]:
    """The rows that are not known; usually those are all, and nothing is copied."""
    rows = [row for row, is_known in enumerate(known) if not is_known]
    return (shared, mask) if len(rows) == len(known) else (shared[rows], mask[rows])


def _pad_queries(states: Sequence[QueryState]) -> tuple[Tensor, Tensor]:
    """(B, Q, H) and mask (B, Q); one shared query is a view, not a copy."""
    first = states[0].hidden
    if all(s is states[0] for s in states):
        hidden = first.expand(len(states), -1, -1)
        return hidden, torch.ones(hidden.shape[:2], dtype=torch.bool, device=first.device)
    width = max(s.hidden.shape[1] for s in states)
    hidden = first.new_zeros(len(states), width, first.shape[2])
    mask = torch.zeros(len(states), width, dtype=torch.bool, device=first.device)
    for row, state in enumerate(states):
        length = state.hidden.shape[1]
        hidden[row, :length], mask[row, :length] = state.hidden[0], True
    return hidden, mask
