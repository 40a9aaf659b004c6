"""What a selective checkpoint is made of."""

from __future__ import annotations

from dataclasses import dataclass

from gist_core.errors import CheckpointError

GRANULARITIES = ("sentence", "word")


@dataclass(frozen=True, slots=True)
class SelectiveConfig:
    """Shape of the selective model: a BERT encoder whose last layers exist twice.

    ``shared_layers`` layers read query and passage apart. Above them stand two branches of
    ``branch_layers`` layers each: the embedding branch (still apart; gives the cosines) and the
    interaction branch (query and passage together; gives keep logits and relevance). The first ``lent_layers`` of
    the latter are stored as changes of the former's. ``granularity`` is what the model was trained to choose among:
    ``"sentence"`` or ``"word"``.
    """

    vocab_size: int = 30_522
    hidden_size: int = 384
    num_heads: int = 12
    intermediate_size: int = 1_536
    max_positions: int = 512
    shared_layers: int = 4
    branch_layers: int = 2
    window_tokens: int = 256
    query_tokens: int = 96
    layer_norm_eps: float = 1e-12
    granularity: str = "sentence"
    lent_layers: int = 0

    def __post_init__(self) -> None:
        if self.granularity not in GRANULARITIES:
            raise CheckpointError(
                f"granularity is {self.granularity!r}.", hint=f"This release knows {' and '.join(GRANULARITIES)}."
            )
        if self.hidden_size % self.num_heads:
            raise CheckpointError(
                f"hidden_size {self.hidden_size} is not a multiple of num_heads {self.num_heads}.",
                hint="Check the config of the checkpoint.",
            )
        if max(self.window_tokens, self.query_tokens) > self.max_positions:
            raise CheckpointError(
                f"A window of {self.window_tokens} tokens is longer than the {self.max_positions} positions.",
                hint="Lower window_tokens or query_tokens.",
            )
