"""A selective model that learns other languages: its own weights frozen, what ``selective.foreign`` names trained."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from peft import LoraConfig, inject_adapter_in_model
from tokenizers import Tokenizer
from torch import Tensor, nn

from gist_core.selective.foreign import BASIS, HEADS, OFFSET, ROWS, Foreign
from gist_core.selective.low_rank import DOWN, MATRICES, UP, factored
from gist_core.selective.model import SelectiveModel
from gist_core.selective.windows import clean

RANK, KEPT_RANK = 8, 6  # of the changes of a linear layer: in training, and what fits into the package
WIDTH = 48  # of the embeddings of characters, as above
_IDEOGRAPH = "CJK UNIFIED IDEOGRAPH"


class FactoredWords(nn.Module):
    """Word embeddings: those of the base, frozen, and ``count`` more as a product of two small matrices."""

    def __init__(self, base: nn.Embedding, count: int, width: int, like: Tensor) -> None:
        """``like`` (N, H): rows whose mean and spread the new ones start with."""
        super().__init__()
        self.base = base.requires_grad_(False)  # noqa: FBT003 - torch's own signature
        basis = torch.linalg.qr(torch.randn(like.shape[1], width))[0].T
        spread = (like - like.mean(dim=0)).norm(dim=1).mean() / width**0.5
        self.rows = nn.Parameter(torch.randn(width, count))
        self.basis = nn.Parameter(basis * spread)
        self.offset = nn.Parameter(like.mean(dim=0).clone())

    def forward(self, ids: Tensor) -> Tensor:
        """(B, L) int64 -> (B, L, H)."""
        count = self.base.num_embeddings
        old = self.base(ids.clamp(max=count - 1))
        new = F.embedding((ids - count).clamp(min=0), self.rows.T @ self.basis + self.offset)
        return torch.where((ids < count)[..., None], old, new)


def characters_missing(groups: Iterable[Iterable[str]], tokenizer: Tokenizer, most: int) -> list[str]:
    """Pieces for the ``most`` frequent characters that a WordPiece vocabulary has no piece for.

    One that stands inside words gets a piece for that as well; ideographs stand alone. Groups of texts count alike.
    """
    vocabulary, shares = tokenizer.get_vocab(), Counter[str]()
    for texts in groups:
        counts = Counter(c for text in texts for c in tokenizer.normalizer.normalize_str(clean(text)))
        missing = {c: n for c, n in counts.items() if not c.isspace() and c not in vocabulary}
        shares.update({c: n / sum(missing.values()) for c, n in missing.items()})
    pieces = []
    for character, _ in shares.most_common():
        wanted = [character] if _stands_alone(character) else [character, f"##{character}"]
        pieces += [p for p in wanted if p not in vocabulary]
    return pieces[:most]


def _stands_alone(character: str) -> bool:
    """Whether the tokenizer parts it from its neighbours: ideographs, punctuation, symbols."""
    return unicodedata.name(character, "").startswith(_IDEOGRAPH) or unicodedata.category(character)[0] in "PSZC"


def _adapted_layers(learned: Foreign | None) -> str:
    """A pattern of the linear layers that change: those that were ``learned`` for; else all but the embedding branch's.

    What is trained are no cosines, so layers of that branch which were learned for once stay as they are.
    """
    if learned is not None:
        return "|".join(re.escape(name.removesuffix(DOWN)) for name in learned.tensors if name.endswith(DOWN))
    return rf"(shared\.\d+|interaction_branch\.\d+)\.({'|'.join(MATRICES)})"


def adapt(
    model: SelectiveModel, tokenizer: Tokenizer, pieces: Sequence[str], learned: Foreign | None = None
) -> SelectiveModel:
    """Make a model ready, in place: only what ``Foreign`` holds gets gradients; it starts from what was ``learned``."""
    rank = RANK if learned is None else learned.rank
    layers = _adapted_layers(learned)
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=layers), model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name or name in HEADS)
    vocabulary = tokenizer.get_vocab()
    like = [i for p, i in vocabulary.items() if unicodedata.name(p[0], "").startswith(_IDEOGRAPH)]
    word = model.embeddings.word
    rows = word.weight[like] if like else word.weight
    model.embeddings.word = FactoredWords(word, len(pieces), min(WIDTH, rows.shape[1]), rows.detach())  # type: ignore[assignment]
    if learned is not None:
        _go_on(model, learned)
    return model


@torch.no_grad()
def _go_on(model: SelectiveModel, learned: Foreign) -> None:
    """Set what ``adapted`` reads to what it read once."""
    state = {name: learned.tensors[name] for name in HEADS}
    state |= {f"embeddings.word.{name}": learned.tensors[name] for name in (ROWS, BASIS, OFFSET)}
    for name, module in model.named_modules():
        if hasattr(module, "lora_A"):
            state[f"{name}.lora_A.default.weight"] = learned.tensors[name + DOWN]
            state[f"{name}.lora_B.default.weight"] = learned.tensors[name + UP].T / module.scaling["default"]
    model.load_state_dict(state, strict=False)


@torch.no_grad()
def adapted(model: SelectiveModel, pieces: Sequence[str]) -> Foreign:
    """What an ``adapt``-ed model has learned."""
    state = {k: v.detach().float().cpu() for k, v in model.state_dict().items()}
    tensors = {name: state[name] for name in HEADS}
    tensors |= {name: state[f"embeddings.word.{name}"] for name in (ROWS, BASIS, OFFSET)}
    for name, module in model.named_modules():
        if hasattr(module, "lora_A"):
            down, up = (state[f"{name}.lora_{part}.default.weight"] for part in "AB")
            tensors[name + UP], tensors[name + DOWN] = factored(module.scaling["default"] * up @ down, KEPT_RANK)
    return Foreign(pieces, tensors)
