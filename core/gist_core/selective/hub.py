"""Start a selective model from a pretrained BERT-like encoder: a local folder or a hub id."""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor, nn

from gist_core.errors import CheckpointError
from gist_core.selective.config import SelectiveConfig
from gist_core.selective.model import SelectiveModel

_NAMES = {
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "output",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "output_norm",
}
_LAYER = re.compile(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)$")


def from_pretrained_encoder(source: str | Path, *, branch_layers: int = 2, window_tokens: int = 256) -> SelectiveModel:
    """Build an untrained selective model from a BERT encoder; both branches start as its last layers.

    Args:
        source: Folder or hub id that transformers can load; the network is used only for a hub id.
        branch_layers: How many of the last layers exist twice.
        window_tokens: Longest window in tokens.

    Raises:
        CheckpointError: The encoder cannot be loaded or is not BERT.
    """
    from transformers import AutoModel

    try:
        encoder = AutoModel.from_pretrained(source, trust_remote_code=False, use_safetensors=True)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"No encoder at {str(source)!r}: {error}", hint="Name a folder or a hub id.") from error
    found = encoder.config
    if found.model_type != "bert":
        raise CheckpointError(f"{str(source)!r} is a {found.model_type} model.", hint="Start from a BERT encoder.")
    config = SelectiveConfig(
        vocab_size=found.vocab_size,
        hidden_size=found.hidden_size,
        num_heads=found.num_attention_heads,
        intermediate_size=found.intermediate_size,
        max_positions=found.max_position_embeddings,
        shared_layers=found.num_hidden_layers - branch_layers,
        branch_layers=branch_layers,
        window_tokens=window_tokens,
        query_tokens=min(96, found.max_position_embeddings),
        layer_norm_eps=found.layer_norm_eps,
    )
    model = SelectiveModel(config)
    model.load_state_dict(_rename(encoder.state_dict(), config) | _heads(model))
    return model


def _rename(state: dict[str, Tensor], config: SelectiveConfig) -> dict[str, Tensor]:
    types = state["embeddings.token_type_embeddings.weight"][0]
    out = {
        "embeddings.word.weight": state["embeddings.word_embeddings.weight"],
        "embeddings.position.weight": state["embeddings.position_embeddings.weight"] + types,
        "embeddings.norm.weight": state["embeddings.LayerNorm.weight"],
        "embeddings.norm.bias": state["embeddings.LayerNorm.bias"],
    }
    for name, tensor in state.items():
        match = _LAYER.match(name)
        if not match:
            continue
        index, tail = int(match[1]), f"{_NAMES[match[2]]}.{match[3]}"
        if index < config.shared_layers:
            out[f"shared.{index}.{tail}"] = tensor
        else:
            for branch in ("embedding_branch", "interaction_branch"):
                out[f"{branch}.{index - config.shared_layers}.{tail}"] = tensor.clone()
    return out


def _heads(model: SelectiveModel) -> dict[str, Tensor]:
    for head in (model.keep_head, model.relevance_head):
        nn.init.normal_(head.weight, std=0.02)
        nn.init.zeros_(head.bias)
    nn.init.normal_(model.side, std=0.02)
    names = ("side", "keep_head", "relevance_head")
    return {k: v for k, v in model.state_dict().items() if k.split(".")[0] in names}
