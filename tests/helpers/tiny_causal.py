"""Tiny causal language models of three families with one tokenizer, and folders that training starts from."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from gist_core.training.lm.bpe import END, GIST, train_bpe
from gist_core.training.lm.model import LmShape, build_lm

SPEECHES = Path(__file__).parents[2] / "cookbook/data/speeches"
FAMILIES = ["llama", "qwen2", "lfm2"]


@lru_cache
def speech_tokenizer() -> PreTrainedTokenizerFast:
    return train_bpe([p.read_text(encoding="utf-8") for p in sorted(SPEECHES.glob("*.txt"))[:3]], 500)


def cpu_only(patch: pytest.MonkeyPatch) -> None:
    """Let training find a CPU that computes in float32, whatever there is."""
    AcceleratorState._reset_state(reset_partial_state=True)
    patch.setattr(torch.cuda, "is_available", lambda: False)
    patch.setattr(torch.backends.mps, "is_available", lambda: False)
    patch.setattr(torch.cpu, "get_capabilities", dict, raising=False)


def plain_tokenizer() -> PreTrainedTokenizerFast:
    """As Qwen's: no gist token, no begin token, and the end token has another name."""
    names = {END: "<|endoftext|>", GIST: "unused"}
    content = json.loads(speech_tokenizer().backend_tokenizer.to_str())
    content["added_tokens"] = [t | {"content": names[END]} for t in content["added_tokens"] if t["content"] == END]
    content["model"]["vocab"] = {names.get(token, token): i for token, i in content["model"]["vocab"].items()}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(content)), eos_token=names[END])


def tiny_causal(family: str, vocabulary: int, *, positions: int = 1_024, seed: int = 5):
    """Random weights large enough that what stands before matters."""
    torch.manual_seed(seed)
    shape = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": positions,
        "initializer_range": 0.3,
    }
    if family == "llama":
        return LlamaForCausalLM(LlamaConfig(**shape, bos_token_id=0, eos_token_id=0)).eval()
    if family == "qwen2":
        return Qwen2ForCausalLM(
            Qwen2Config(**shape, bos_token_id=None, eos_token_id=0, tie_word_embeddings=True)
        ).eval()
    model = build_lm(LmShape(width=32, layers=2, heads=4, positions=positions), vocabulary, 0, seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(8 if weight.ndim > 1 else 1)
    return model.eval()


def write_speeches(folder: Path) -> Path:
    """Two speeches as a corpus of two dozen texts, enough for three sides."""
    folder.mkdir()
    for path in sorted(SPEECHES.glob("*.txt"))[:2]:
        words = path.read_text(encoding="utf-8").split(" ")
        for part in range(12):
            text = " ".join(words[250 * part : 250 * (part + 1)])
            (folder / f"{path.stem}-{part}.txt").write_text(text, encoding="utf-8")
    return folder


def save_causal(folder: Path, family: str, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A tiny model and its tokenizer as a hub has them."""
    tiny_causal(family, 500, positions=768).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
