"""LLMLingua-2 in its two published shapes with random weights, to measure time where its weights cannot be had.

Time does not depend on weights: the network has the published number of layers, widths and vocabulary, and the package
does all it does with trained ones. Two things differ. Which words stay is arbitrary, so nothing but time may be read
from it; and the tokenizer, of the same kind (WordPiece, SentencePiece's unigrams), is learned from the texts given,
so that a text may have a few per cent more or fewer tokens than with the published one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gist_core.evaluation.systems.llmlingua import LARGE, SMALL, at_rate
from gist_core.evaluation.systems.rates import AtRate, RateCompressor

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LEARNED = 8_000  # entries of the vocabulary; the rest of the published size is filled up
_BERT = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
_XLMR = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}


@dataclass(frozen=True, slots=True)
class Shape:
    """A network to classify tokens with.

    Args:
        published: Hub id of the checkpoint whose shape it is; the package tells the tokenizer by it.
        kind: ``"bert"`` or ``"xlm-roberta"``.
        config: What differs from transformers' own defaults for that kind.
    """

    published: str
    kind: Literal["bert", "xlm-roberta"]
    config: Mapping[str, int | float] = field(default_factory=dict)


SHAPES = {
    "small": Shape(SMALL, "bert", {"vocab_size": 119_547}),  # 12 layers x 768
    "large": Shape(
        LARGE,
        "xlm-roberta",
        {
            "vocab_size": 250_002,
            "num_hidden_layers": 24,
            "hidden_size": 1_024,
            "num_attention_heads": 16,
            "intermediate_size": 4_096,
            "max_position_embeddings": 514,
            "type_vocab_size": 1,
            "layer_norm_eps": 1e-5,
        },
    ),
}


def random_llmlingua2(shape: Shape, texts: Sequence[str], folder: Path) -> tuple[RateCompressor, RateCompressor]:
    """LLMLingua-2 with random weights, asked once a call: what is over the budget is cut.

    Args:
        shape: One of ``SHAPES``.
        texts: What the tokenizer is learned from.
        folder: Where the checkpoint is written; the large one has 2.2 GB.

    Returns:
        Two ways to call one model: passage by passage; and all passages joined into one text, which fills its windows
        of 512 tokens and leaves no way back to the passages: all that is left stands in the first result.
    """
    write_random(shape, texts, folder)
    compress = at_rate(str(folder), shape.published)
    name = f"llmlingua-2 ({shape.kind}), random weights"
    return (
        RateCompressor(name, compress, tries=1),
        RateCompressor(f"joined, {name}", _joining(compress), tries=1),
    )


def write_random(shape: Shape, texts: Sequence[str], folder: Path) -> None:
    """A checkpoint of this shape, as transformers writes it: weights as they are before training."""
    import transformers

    library: Any = transformers  # parts of it are untyped
    config = library.AutoConfig.for_model(shape.kind, num_labels=2, **shape.config)
    names = _BERT if shape.kind == "bert" else _XLMR
    tokenizer = _filled_up(_learned(shape.kind, texts, list(names.values())), config.vocab_size)
    library.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **names).save_pretrained(folder)
    library.AutoModelForTokenClassification.from_config(config).save_pretrained(folder)


def _learned(kind: str, texts: Sequence[str], special: list[str]) -> Tokenizer:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    trainer: Any
    if kind == "bert":
        tokenizer = Tokenizer(models.WordPiece(unk_token=_BERT["unk_token"]))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=LEARNED, special_tokens=special, show_progress=False)
    else:
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer = normalizers.NFKC()
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.UnigramTrainer(
            vocab_size=LEARNED, special_tokens=special, unk_token=_XLMR["unk_token"], show_progress=False
        )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def _filled_up(tokenizer: Tokenizer, size: int) -> Tokenizer:
    """With entries that no text has, up to the published size: the package fits the network to the vocabulary."""
    from tokenizers import Tokenizer

    state = json.loads(tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    for number in range(len(vocabulary), size):
        if isinstance(vocabulary, dict):
            vocabulary[f"[unused{number}]"] = number
        else:
            vocabulary.append([f"<unused{number}>", -100.0])
    return Tokenizer.from_str(json.dumps(state))


def _joining(compress: AtRate) -> AtRate:
    def as_one(texts: list[str], rate: float) -> list[str]:
        return [*compress(["\n\n".join(texts)], rate), *[""] * (len(texts) - 1)]

    return as_one
