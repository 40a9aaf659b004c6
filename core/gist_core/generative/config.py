"""What a generative checkpoint is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gist_core.errors import CheckpointError

# Each makes transformers fetch or run what does not lie in the checkpoint.
_FOREIGN = frozenset(
    {"auto_map", "quantization_config", "attn_implementation", "_attn_implementation", "experts_implementation"}
)


@dataclass(frozen=True, slots=True)
class GenerativeConfig:
    """The language model and how it is asked.

    The model reads ``[begin] before passage after`` and writes the gist, then its end token.

    Args:
        lm: The transformers config of the model, with its ``model_type``; ``save_parts`` fills it in.
        before: Text put before the passage; special tokens written in it are special tokens.
        after: Likewise behind it: ``"<|gist|>"`` for our own models, the rest of an instruction for others.
        context_tokens: Longest piece of a passage the model reads at once, in its own tokens.
        gist_share: The rate the model was trained for: tokens of a gist per token of its passage.

    Raises:
        CheckpointError: A value is impossible, or ``lm`` asks for code or weights from elsewhere.
    """

    lm: Mapping[str, Any] = field(default_factory=dict)
    before: str = ""
    after: str = "<|gist|>"
    context_tokens: int = 512
    gist_share: float = 0.1

    def __post_init__(self) -> None:
        if foreign := sorted(_FOREIGN & {name for name, value in self.lm.items() if value is not None}):
            raise CheckpointError(
                f"The language model's config has {', '.join(foreign)}.",
                hint="Only what lies in the checkpoint is loaded: save the model without it.",
            )
        if not 0 < self.gist_share <= 1:
            raise CheckpointError(f"gist_share is {self.gist_share!r}.", hint="It is a share above 0 and up to 1.")
        positions = self.lm.get("max_position_embeddings") or float("inf")
        if not 1 <= self.context_tokens < positions:
            raise CheckpointError(
                f"context_tokens is {self.context_tokens!r}, and the model has {positions} positions.",
                hint="Give at least 1, and leave positions for the frame and the gist.",
            )
