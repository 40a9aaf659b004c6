"""Causal language models from a folder or the hub: how they are loaded, and one as a reader."""

from __future__ import annotations

from typing import Any

from gist_core.device import resolve_device, resolve_dtype
from gist_core.errors import CheckpointError
from gist_core.evaluation.reader import question_prompt

ANSWER_TOKENS = 32


class CausalModel:
    """A causal language model with its tokenizer, ready to be run.

    Args:
        source: Folder or hub id; safetensors, and no remote code.
        device: As for ``load_compressor``.

    Raises:
        CheckpointError: There is no such model.
    """

    def __init__(self, source: str, *, device: str = "auto") -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.device = resolve_device(device)
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(
                source, use_safetensors=True, dtype=resolve_dtype(self.device)
            )
            self.tokenizer: Any = AutoTokenizer.from_pretrained(source)
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"No language model at {source!r}: {error}", hint="Name a folder or a hub id."
            ) from error
        self.model: Any = model.eval().to(self.device)
        self.positions: int = getattr(model.config, "max_position_embeddings", 2**31)


class CausalReader:
    """Answers by greedy decoding; the answer is the first line that is not blank, of 32 tokens at the most.

    A model with a chat template is asked as it was trained to be. Of a prompt longer than the model's positions the
    end of the context is not read.
    """

    def __init__(self, source: str, *, device: str = "auto") -> None:
        self._lm = CausalModel(source, device=device)

    def answer(self, question: str, context: str) -> str:
        """The answer, as the model words it."""
        import torch

        ids = torch.tensor([self._fitting(question, context)], device=self._lm.device)
        with torch.inference_mode():
            out = self._lm.model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=ANSWER_TOKENS,
                do_sample=False,
                pad_token_id=self._lm.tokenizer.pad_token_id or self._lm.tokenizer.eos_token_id or 0,
            )
        text: str = self._lm.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
        return next((line.strip() for line in text.splitlines() if line.strip()), "")

    def _fitting(self, question: str, context: str) -> list[int]:
        """The prompt's ids, the context cut until they leave room for the answer."""
        ids = self._ids(question, context)
        while (over := len(ids) + ANSWER_TOKENS - self._lm.positions) > 0 and context:
            share = max(0.0, 1 - 1.1 * over / len(ids))
            context = context[: int(len(context) * share)]
            ids = self._ids(question, context)
        return ids

    def _ids(self, question: str, context: str) -> list[int]:
        prompt = question_prompt(question, context)
        tokenizer = self._lm.tokenizer
        if tokenizer.chat_template:
            turns = [{"role": "user", "content": prompt}]
            prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
            return list(tokenizer(prompt, add_special_tokens=False)["input_ids"])
        return list(tokenizer(prompt)["input_ids"])
