"""A reader that points at its answer: any encoder with a question-answering head, long contexts window by window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gist_core.device import resolve_device
from gist_core.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

QUESTION_TOKENS = 96
STRIDE = 128
"""Tokens that neighbouring windows share, so that an answer at a window's end stands whole in the next."""

LONGEST_ANSWER = 30  # tokens
BATCH = 16


class Answer(NamedTuple):
    """Half-open character offsets in the context, and the logits of start and end above those of "no answer"."""

    start: int
    end: int
    score: float


class ExtractiveReader:
    """Reads with an ``AutoModelForQuestionAnswering``: the best span over all windows of the context.

    A span's score is its start and end logit less those of the window's first token, where readers trained as on
    SQuAD 2.0 point if a window holds no answer; so windows can be compared. Some span is always answered.

    Args:
        source: Folder or hub id; safetensors, and no remote code.
        device: As for ``load_compressor``.
        window_tokens: Longest window, question included; less where the model or its tokenizer says so.

    Example:
        >>> ExtractiveReader("reader/checkpoint").answer("Who?", "Ann went home.")  # doctest: +SKIP
        'Ann'

    Raises:
        CheckpointError: There is no such model.
    """

    def __init__(self, source: str, *, device: str = "auto", window_tokens: int = 384) -> None:
        from transformers import AutoModelForQuestionAnswering, AutoTokenizer

        try:
            model = AutoModelForQuestionAnswering.from_pretrained(source, use_safetensors=True)
            self._tokenizer: Any = AutoTokenizer.from_pretrained(source)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"No reader at {source!r}: {error}", hint="Name a folder or a hub id.") from error
        self._device = resolve_device(device)
        self._model: Any = model.eval().to(self._device)
        longest = (getattr(model.config, "max_position_embeddings", window_tokens), self._tokenizer.model_max_length)
        self._window_tokens = min(window_tokens, *longest)

    def answer(self, question: str, context: str) -> str:
        """The best span's text; empty if the context is blank."""
        found = self.find(question, context)
        return context[found.start : found.end] if found else ""

    def find(self, question: str, context: str) -> Answer | None:
        """Where the answer stands; None if the context is blank."""
        import torch

        if not context.strip():
            return None
        windows = self._windows(question, context)
        best: Answer | None = None
        for at in range(0, len(windows["input_ids"]), BATCH):
            batch = {k: windows[k][at : at + BATCH].to(self._device) for k in self._tokenizer.model_input_names}
            with torch.inference_mode():
                out = self._model(**batch)
            for row in range(len(batch["input_ids"])):
                found = self._best_of(windows, at + row, out.start_logits[row], out.end_logits[row])
                if found and (best is None or found.score > best.score):
                    best = found
        return best

    def _windows(self, question: str, context: str) -> Any:
        clean = self._tokenizer.encode(question, add_special_tokens=False)
        room = min(QUESTION_TOKENS, self._window_tokens // 4)
        if len(clean) > room:
            question = self._tokenizer.decode(clean[:room], skip_special_tokens=True)
        return self._tokenizer(
            question,
            context,
            truncation="only_second",
            max_length=self._window_tokens,
            stride=min(STRIDE, self._window_tokens // 4),
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding=True,
            return_tensors="pt",
        )

    def _best_of(self, windows: Any, row: int, start: Tensor, end: Tensor) -> Answer | None:
        import torch

        inside = torch.tensor([s == 1 for s in windows.sequence_ids(row)], device=start.device)
        if not bool(inside.any()):
            return None
        null = float(start[0] + end[0])
        low = torch.finfo(torch.float32).min / 4
        start, end = (x.float().masked_fill(~inside, low) for x in (start, end))
        allowed = torch.ones(len(start), len(start), dtype=torch.bool, device=start.device)
        allowed = allowed.triu().tril(LONGEST_ANSWER - 1)
        scores = (start[:, None] + end[None, :]).masked_fill(~allowed, 2 * low)
        first, last = divmod(int(scores.argmax()), len(start))
        offsets = windows["offset_mapping"][row]
        return Answer(int(offsets[first][0]), int(offsets[last][1]), float(scores[first, last]) - null)
