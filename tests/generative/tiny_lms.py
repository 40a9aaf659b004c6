"""Tiny real language models of three families, random weights, each with a tokenizer and a frame; and scripted ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from gist_core.batching import BatchWorker
from gist_core.checkpoint import EXTRACTOR, read_manifest
from gist_core.compressor import TextCompressor
from gist_core.generative.compressor import GenerativeCompressor
from gist_core.generative.config import GenerativeConfig
from gist_core.generative.engine import Engine, Parts, load_parts, save_parts
from gist_core.generative.framing import Framing
from gist_core.generative.writing import Draft
from gist_core.lazy import Lazy
from gist_core.loading import load_compressor
from gist_core.training.lm.bpe import train_bpe
from gist_core.training.lm.model import LmShape, build_lm
from tests.helpers.tiny import save_tiny

TEXTS = [
    "Napoleon was born in Corsica in 1769. He liked cheese and long walks. The weather was fine that year.",
    "His brother kept bees. Nobody expected the revolution. Bread cost 5.2 francs in Paris.",
    "the committee decided that the annual fee for members rises from next january and that nobody pays twice",
]
CONTEXT = 48
FAMILIES = ["llama", "qwen2", "lfm2", "verbatim", "extract"]


@lru_cache
def parts(family: str) -> Parts:
    found = {"llama": _llama, "qwen2": _qwen2, "lfm2": _lfm2, "verbatim": _verbatim, "extract": _extract}[family]()
    _wake(found)
    return found


@lru_cache
def saved(root: Path, family: str) -> Path:
    """The family's checkpoint under ``root``, written once."""
    found = parts(family)
    save_parts(root / family, found, f"tiny-{family}", "1")
    if found.config.extract is not None:
        save_tiny(root / family / EXTRACTOR)
    return root / family


@lru_cache
def backup() -> TextCompressor:
    return load_compressor(device="cpu")


def scripted(folder: Path, say: Callable[[str], str | None]) -> GenerativeCompressor:
    """A compressor whose model answers a chunk's text with ``say`` of it, and with nothing where that is None."""
    framing, config = _framing(folder)

    def run(items):
        answers = [say(framing.text(item.source, finished=True)) for item in items]
        return [Draft(framing.ids(answer or ""), finished=True) for answer in answers]

    extractor = partial(load_compressor, str(folder / EXTRACTOR), device="cpu")
    compressor = GenerativeCompressor(read_manifest(folder), lambda: folder, "cpu", backup=backup, extractor=extractor)
    compressor._engine = Lazy(lambda: Engine(framing, config, BatchWorker(run, idle_seconds=0.1)))
    return compressor


@lru_cache
def _framing(folder: Path) -> tuple[Framing, GenerativeConfig]:
    found = load_parts(folder)
    return Framing(found.tokenizer, found.config), found.config


def _wake(found: Parts) -> None:
    """Random weights mostly say the last token again, a special one: what is no small letters cannot be said."""
    said = re.compile("\u0120?[a-z]+")
    mute = [i for token, i in found.tokenizer.get_vocab().items() if not said.fullmatch(token)]
    with torch.no_grad():
        found.model.get_output_embeddings().weight[mute] = 0


def _bpe(special: list[str], **names: str) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


_shape = partial(
    dict, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=64
)


def _llama() -> Parts:
    tokenizer = _bpe(["<s>", "</s>"], bos_token="<s>", eos_token="</s>")
    torch.manual_seed(4)
    config = LlamaConfig(
        **_shape(), vocab_size=len(tokenizer), initializer_range=0.3, max_position_embeddings=256,
        bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    frame = GenerativeConfig(before="Shorten this:\n", after="\nShort:", context_tokens=CONTEXT)
    return Parts(LlamaForCausalLM(config), tokenizer, frame)


def _qwen2() -> Parts:
    tokenizer = _bpe(["<|im_start|>", "<|im_end|>"], eos_token="<|im_end|>", pad_token="<|im_end|>")
    torch.manual_seed(5)
    config = Qwen2Config(
        **_shape(), vocab_size=len(tokenizer), initializer_range=0.3, max_position_embeddings=256,
        bos_token_id=None, eos_token_id=1, tie_word_embeddings=True,
    )  # fmt: skip
    frame = GenerativeConfig(
        before="<|im_start|>user\n", after="<|im_end|>\n<|im_start|>assistant\n", context_tokens=CONTEXT
    )
    return Parts(Qwen2ForCausalLM(config), tokenizer, frame)


def _lfm2() -> Parts:
    tokenizer = train_bpe(TEXTS * 3, 400)
    model = build_lm(LmShape(width=32, layers=2, heads=4, positions=256), len(tokenizer), tokenizer.eos_token_id, 6)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(8 if weight.ndim > 1 else 1)
    return Parts(model, tokenizer, GenerativeConfig(context_tokens=CONTEXT))


def _verbatim() -> Parts:
    frame = GenerativeConfig(after="<|gist|>{percent}%", context_tokens=CONTEXT, rates=(0.1, 0.2), verbatim=True)
    return replace(_lfm2(), config=frame)


def _extract() -> Parts:
    found = _verbatim()
    return replace(found, config=replace(found.config, extract=1.5))
