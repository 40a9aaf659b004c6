"""Tiny real models for readers: a BERT with a question-answering head, and a Llama; random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import BertConfig, BertForQuestionAnswering, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.helpers.tiny import tiny_tokenizer


def wrapped_tokenizer() -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, processors

    backend = Tokenizer.from_str(tiny_tokenizer().to_str())
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def save_tiny_encoder(folder: Path, layers: int = 3) -> Path:
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=tiny_tokenizer().get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=512,
    )
    BertForQuestionAnswering(config).save_pretrained(folder)
    wrapped_tokenizer().save_pretrained(folder)
    return folder


def save_tiny_llama(folder: Path, positions: int = 512) -> Path:
    torch.manual_seed(4)
    config = LlamaConfig(
        vocab_size=tiny_tokenizer().get_vocab_size(),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=positions,
        bos_token_id=2,
        eos_token_id=3,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer = wrapped_tokenizer()
    tokenizer.backend_tokenizer.post_processor = None
    tokenizer.save_pretrained(folder)
    return folder
