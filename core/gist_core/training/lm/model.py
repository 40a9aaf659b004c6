"""A small causal language model of a given size, untrained: short convolutions and attention in turn.

Llama's parts (RMSNorm, SwiGLU, RoPE, no biases) in the order of LFM2 (Liquid AI 2025, arXiv 2511.23404), which
transformers carries: a gated convolution over three tokens, then attention. To look a word up in its context takes
knowing what stood before every token; a convolution gives that from the first step on, where attention alone has to
find it first. In the controlled world such a model looked facts up without error after 150 steps, and a Llama of the
same size not after 500 (``core/decisions/0006``).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from transformers import Lfm2Config, Lfm2ForCausalLM


@dataclass(frozen=True, slots=True)
class LmShape:
    """Width, depth, heads; layers 0, 2, 4 ... convolve, layers 1, 3, 5 ... attend.

    The feed-forward is 8/3 as wide (SwiGLU, arXiv 2002.05202), rounded up to 32.
    """

    width: int = 256
    layers: int = 5
    heads: int = 4
    positions: int = 2_048

    @property
    def inner(self) -> int:
        """Width of the feed-forward."""
        return -(-self.width * 8 // 3 // 32) * 32


def build_lm(shape: LmShape, vocabulary: int, end: int, seed: int) -> Lfm2ForCausalLM:
    """An untrained model, input and output embedding tied.

    Args:
        shape: Its size.
        vocabulary: Number of tokens.
        end: Id of the token that begins, ends and pads.
        seed: Of the weights.
    """
    torch.manual_seed(seed)
    config = Lfm2Config(
        vocab_size=vocabulary,
        hidden_size=shape.width,
        intermediate_size=shape.inner,
        block_auto_adjust_ff_dim=False,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        layer_types=["full_attention" if layer % 2 else "conv" for layer in range(shape.layers)],
        max_position_embeddings=shape.positions,
        tie_word_embeddings=True,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
    )
    return Lfm2ForCausalLM(config)
