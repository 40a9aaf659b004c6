"""A BERT encoder layer by layer, post-norm, exact GELU (Devlin et al. 2018, arXiv 1810.04805).

Written out because the model runs layers of one encoder in two branches, and because importing the
transformers implementation alone costs more time than the first compression. Parameter names are
short forms of the Hugging Face names; ``hub.py`` maps them.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from gist_core.selective.config import SelectiveConfig


class Embeddings(nn.Module):
    """Word + position + the one token type BERT encoders use for plain text, then LayerNorm."""

    def __init__(self, config: SelectiveConfig) -> None:
        super().__init__()
        self.word = nn.Embedding(config.vocab_size, config.hidden_size)
        self.position = nn.Embedding(config.max_positions, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, L) int64 -> (B, L, H)."""
        embedded: Tensor = self.norm(self.word(ids) + self.position.weight[: ids.shape[1]])
        return embedded

    def packed(self, ids: Tensor, position: Tensor) -> Tensor:
        """(N,) ids and positions of the tokens of many windows -> (N, H)."""
        embedded: Tensor = self.norm(self.word(ids) + self.position(position))
        return embedded


class Layer(nn.Module):
    """Self-attention and feed-forward, each with residual and LayerNorm."""

    def __init__(self, config: SelectiveConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.heads = config.num_heads
        self.query, self.key, self.value = (nn.Linear(size, size) for _ in range(3))
        self.output = nn.Linear(size, size)
        self.attention_norm = nn.LayerNorm(size, eps=config.layer_norm_eps)
        self.up = nn.Linear(size, config.intermediate_size)
        self.down = nn.Linear(config.intermediate_size, size)
        self.output_norm = nn.LayerNorm(size, eps=config.layer_norm_eps)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """(B, L, H) and a key mask (B, 1, 1, L), True where a token is real, or None -> (B, L, H)."""
        q, k, v = (self._split(f(hidden)) for f in (self.query, self.key, self.value))
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        attended = attended.transpose(1, 2).reshape(hidden.shape)
        hidden = self.attention_norm(hidden + self.output(attended))
        layer_output: Tensor = self.output_norm(hidden + self.down(F.gelu(self.up(hidden))))
        return layer_output


def run_layers(layers: nn.ModuleList, hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Apply the layers in order."""
    for layer in layers:
        hidden = layer(hidden, mask)
    return hidden
