"""What a generative checkpoint is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        after: Likewise behind it: ``"<|gist|>"`` for our own models, the rest of an instruction for others. Where it
            says ``{percent}``, the rate that is asked for is put in.
        context_tokens: Longest piece of a passage the model reads at once, in its own tokens.
        rates: What the model was trained for, ascending: tokens of a gist per token of its passage. It is asked for
            the one nearest to what a call leaves room for.
        verbatim: It can write nothing but words of the passage, in their order.
        extract: How many times a gist's size it reads: the words that the checkpoint in the folder ``extractor`` keeps
            of the passage. None where it reads all of it.

    Raises:
        CheckpointError: A value is impossible, or ``lm`` asks for code or weights from elsewhere.
    """

    lm: Mapping[str, Any] = field(default_factory=dict)
    before: str = ""
    after: str = "<|gist|>"
    context_tokens: int = 512
    rates: Sequence[float] = (0.1,)
    verbatim: bool = False
    extract: float | None = None

    def __post_init__(self) -> None:
        if foreign := sorted(_FOREIGN & {name for name, value in self.lm.items() if value is not None}):
            raise CheckpointError(
                f"The language model's config has {', '.join(foreign)}.",
                hint="Only what lies in the checkpoint is loaded: save the model without it.",
            )
        if not self.rates or list(self.rates) != sorted(self.rates) or not 0 < self.rates[0] <= self.rates[-1] <= 1:
            raise CheckpointError(
                f"rates are {list(self.rates)!r}.", hint="They are shares above 0 and up to 1, ascending."
            )
        if self.extract is not None and not 1 <= self.extract < float("inf"):
            raise CheckpointError(f"extract is {self.extract!r}.", hint="Give 1 or more times a gist's size.")
        positions = self.lm.get("max_position_embeddings") or float("inf")
        if not 1 <= self.context_tokens < positions:
            raise CheckpointError(
                f"context_tokens is {self.context_tokens!r}, and the model has {positions} positions.",
                hint="Give at least 1, and leave positions for the frame and the gist.",
            )
