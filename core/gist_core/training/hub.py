"""Causal language models that training starts from: a folder or a hub id, whole or with LoRA adapters."""

from __future__ import annotations

import copy
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from gist_core.device import resolve_device, resolve_dtype
from gist_core.errors import CheckpointError, MissingExtraError

_LORA_RANK = 16


def load_causal(source: str) -> tuple[Any, Any]:
    """(model, tokenizer) of a folder or a hub id; safetensors, no remote code; bfloat16 where the GPU computes in it.

    Raises:
        CheckpointError: There is no such model.
    """
    device = resolve_device("auto")
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(source, use_safetensors=True, dtype=resolve_dtype(device))
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"No language model at {source!r}: {error}", hint="Name a folder or a hub id.") from error
    return model.to(device), tokenizer


def teacher_and_learner(base: Any, start: Any = None, *, lora: bool) -> tuple[Any, Any]:
    """A frozen model and one that is trained from where it stands, or from where ``start`` does.

    With ``lora`` and no start both are one model in memory: the teacher is the learner with its adapters switched off
    (Hu et al. 2021, arXiv 2106.09685).

    Raises:
        MissingExtraError: peft is not installed.
    """
    if start is not None:
        _, learner = teacher_and_learner(start, lora=lora)
        return base.eval().requires_grad_(False), learner  # noqa: FBT003 - torch's own signature
    if not lora:
        learner = copy.deepcopy(base).float().requires_grad_(True)  # noqa: FBT003 - as above
        return base.eval().requires_grad_(False), learner  # noqa: FBT003 - as above
    learner = with_lora(base)
    return WithoutAdapters(learner), learner


def with_lora(base: Any) -> Any:
    """The model with trainable low-rank adapters on every linear layer, all else frozen.

    Raises:
        MissingExtraError: peft is not installed.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise MissingExtraError("peft is not installed.", hint="pip install 'gist-compressor[train]'") from error
    config = LoraConfig(r=_LORA_RANK, lora_alpha=2 * _LORA_RANK, target_modules="all-linear", task_type="CAUSAL_LM")
    return get_peft_model(base, config)


class WithoutAdapters(torch.nn.Module):
    """A model with LoRA adapters, read as it was before them."""

    def __init__(self, adapted: Any) -> None:
        super().__init__()
        self._adapted = (adapted,)  # in a tuple, so that its parameters are not counted twice

    def get_input_embeddings(self) -> Any:
        """As the model's own."""
        return self._adapted[0].get_input_embeddings()

    def forward(self, **inputs: Any) -> Any:
        """As the model's own."""
        with self._adapted[0].disable_adapter():
            return self._adapted[0](**inputs)


def merged(learner: Any) -> Any:
    """The learner as a plain model, its adapters added to its weights."""
    return learner.merge_and_unload() if hasattr(learner, "merge_and_unload") else learner
