"""A tiny real selective model built from a config: random weights, a WordPiece vocabulary trained on the spot."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from gist_core.selective.config import SelectiveConfig
from gist_core.selective.engine import Parts, save_parts
from gist_core.selective.fusion import MODES, Rating, untrained
from gist_core.selective.model import SelectiveModel

TEXTS = [
    "The cat sat on the mat. A dog barked at 5.2 kg of iron.",
    "Napoleon was born in Corsica in 1769. He liked cheese.",
]


@lru_cache
def tiny_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def tiny_model(window_tokens: int = 48) -> SelectiveModel:
    torch.manual_seed(1)
    config = SelectiveConfig(
        vocab_size=tiny_tokenizer().get_vocab_size(),
        hidden_size=32,
        num_heads=4,
        intermediate_size=64,
        max_positions=64,
        shared_layers=2,
        branch_layers=1,
        window_tokens=window_tokens,
        query_tokens=32,
    )
    return SelectiveModel(config).eval()


def save_tiny(folder: Path, *, int8: bool = True) -> Path:
    ratings = {mode: Rating(untrained(), 0.3 if mode == "free" else 0.0) for mode in MODES}
    parts = Parts(tiny_model(), tiny_tokenizer(), ratings)
    save_parts(folder, parts, "tiny", "1", int8=int8)
    return folder
