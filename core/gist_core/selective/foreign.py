"""What a checkpoint reads other languages with: its own network, changed a little, and characters more.

An English vocabulary lacks half of the characters of a Chinese text. A checkpoint may hold pieces for them, whose
embeddings are a product of two small matrices (ALBERT, Lan et al. 2019, arXiv 1909.11942), low-rank changes of the
linear layers (LoRA, Hu et al. 2021, arXiv 2106.09685), and heads of their own. English calls read what they always did.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from tokenizers import Tokenizer
from torch import Tensor

from gist_core.errors import CheckpointError
from gist_core.selective.low_rank import DOWN, UP
from gist_core.selective.model import SelectiveModel

HEADS = ("side", "keep_head.weight", "keep_head.bias", "relevance_head.weight", "relevance_head.bias")
ROWS, BASIS, OFFSET = "rows", "basis", "offset"
_WORDS = "embeddings.word.weight"


@dataclass(frozen=True, slots=True)
class Foreign:
    """The ``pieces`` that the vocabulary gains, A of them, and what changes, by name.

    ``rows`` (E, A), ``basis`` (E, H) and ``offset`` (H,): the embedding of piece a is ``rows[:, a] @ basis + offset``.
    Of a linear layer (O, I): ``<name>.low_rank_down`` (R, I) and ``<name>.low_rank_up`` (R, O), whose product is added
    to the weight. Of ``HEADS``, and of nothing else, what stands instead.
    """

    pieces: Sequence[str]
    tensors: Mapping[str, Tensor]

    @property
    def rank(self) -> int:
        """R, of the low-rank changes; 0 where there is none."""
        return next((t.shape[0] for name, t in self.tensors.items() if name.endswith(DOWN)), 0)

    def model(self, base: SelectiveModel) -> SelectiveModel:
        """The base network with the changes; what is unchanged is shared with it.

        Raises:
            CheckpointError: The changes do not fit the network.
        """
        state, place = dict(base.state_dict()), base.side
        try:
            rows = self.tensors[ROWS].T @ self.tensors[BASIS] + self.tensors[OFFSET]
            state[_WORDS] = torch.cat([state[_WORDS], rows.to(place)])
            for name, down in self.tensors.items():
                if name.endswith(DOWN):
                    layer = name.removesuffix(DOWN)
                    change = self.tensors[layer + UP].T @ down
                    state[f"{layer}.weight"] = state[f"{layer}.weight"] + change.to(place)
            state |= {name: self.tensors[name].to(place) for name in HEADS}
            with torch.device("meta"):
                changed = SelectiveModel(replace(base.config, vocab_size=base.config.vocab_size + len(self.pieces)))
            changed.load_state_dict(state, assign=True)
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(
                f"What reads other languages does not fit the network: {error}", hint="Copy the checkpoint again."
            ) from error
        return changed.eval()

    def tokenizer(self, base: Tokenizer) -> Tokenizer:
        """The base tokenizer with the pieces at the end of its vocabulary."""
        return with_pieces(base, self.pieces)


def with_pieces(base: Tokenizer, pieces: Sequence[str]) -> Tokenizer:
    """A WordPiece tokenizer with pieces more, numbered on from its own."""
    content = json.loads(base.to_str())
    first = base.get_vocab_size()
    content["model"]["vocab"] |= {piece: first + at for at, piece in enumerate(pieces)}
    return Tokenizer.from_str(json.dumps(content))
