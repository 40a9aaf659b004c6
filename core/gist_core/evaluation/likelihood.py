"""What compression does to a language model's prediction: KL per token of the gold answer, in nats.

The reference is the model's own prediction with the full context. No answer need be right or wrong for it, so it
shows a loss long before a reader's answer flips; beside it stands the same with no context at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from gist_core.cases import Case
from gist_core.compressor import TextCompressor
from gist_core.errors import InvalidInputError
from gist_core.evaluation.contexts import Context, compressed_contexts
from gist_core.evaluation.flips import FULL
from gist_core.evaluation.reader import question_prompt
from gist_core.evaluation.rows import Key, appending, key, read_rows
from gist_core.evaluation.runner import RATES
from gist_core.evaluation.runner import source as whole_context

if TYPE_CHECKING:
    from torch import Tensor

    from gist_core.evaluation.causal import CausalModel

NO_CONTEXT = "none"


def mean_kl(reference: Tensor, other: Tensor) -> float:
    """KL(reference || other), mean over tokens, natural logarithm.

    Args:
        reference: (T, V) log-probabilities given the full context.
        other: (T, V) log-probabilities given another one.
    """
    return float((reference.exp() * (reference - other)).sum(dim=-1).mean())


def mean_nll(log_probabilities: Tensor, target: Tensor) -> float:
    """Mean negative log-likelihood of the target's tokens in nats.

    Args:
        log_probabilities: (T, V).
        target: (T,) token ids.
    """
    return -float(log_probabilities.gather(1, target[:, None]).mean())


def target_log_probabilities(lm: CausalModel, prompt: str, target: Tensor) -> Tensor:
    """(T, V) log-probabilities in float32 of each token of ``target`` after ``prompt`` and the tokens before it.

    Raises:
        InvalidInputError: Prompt and target are longer than what the model reads.
    """
    import torch

    before = lm.tokenizer(prompt)["input_ids"] or [lm.tokenizer.bos_token_id or lm.tokenizer.eos_token_id or 0]
    whole = torch.cat([torch.tensor(before, device=lm.device), target])[None]
    if whole.shape[1] > lm.positions:
        raise InvalidInputError(
            f"The prompt has {whole.shape[1]} tokens, the language model reads {lm.positions}.",
            hint="Use a model of longer context, or shorter documents.",
        )
    with torch.inference_mode():
        logits = lm.model(whole, logits_to_keep=len(target) + 1).logits
    return torch.log_softmax(logits[0, :-1].float(), dim=-1)


def run_likelihood(lm: CausalModel, cases: Iterable[Case], systems: Mapping[str, TextCompressor], out: Path) -> None:
    """Measure every case with an answer given its full context, each system's output and no context.

    A case whose query is blank is read as text: its first answer is what follows its passages.

    Args:
        lm: The language model.
        cases: The questions; those without gold answers are left out.
        systems: What compresses.
        out: ``likelihood.jsonl``: set, id, system (``"full"``, ``"none"`` without context), rate (1 for these two),
            kl, nll, in nats per token of the first gold answer. Rows already there are not made again. A case longer
            than the model reads has the one row ``"full"``, with ``error``.
    """
    done = {key(row) for row in read_rows(out)}
    with appending(out) as append:
        for case in cases:
            if any(answer.strip() for answer in case.answers):
                for row in _rows(lm, case, systems, done):
                    append(row)


def _rows(
    lm: CausalModel, case: Case, systems: Mapping[str, TextCompressor], done: set[Key]
) -> Iterator[dict[str, object]]:
    def wanted(system: str, rate: int) -> bool:
        return (case.set, case.id, system, rate) not in done

    if not any(wanted(*pair) for pair in [(FULL, 1), (NO_CONTEXT, 1), *product(systems, RATES)]):
        return
    target = _target(lm, next(answer for answer in case.answers if answer.strip()))
    try:
        full = target_log_probabilities(lm, _prompt(case, whole_context(case)), target)
    except InvalidInputError as error:
        if wanted(FULL, 1):
            yield {**_key(case, FULL, 1), "error": error.message}
        return
    if wanted(FULL, 1):
        yield {**_key(case, FULL, 1), "kl": 0.0, "nll": mean_nll(full, target)}
    none = [Context(NO_CONTEXT, 1, "")] if wanted(NO_CONTEXT, 1) else []
    for context in [*none, *compressed_contexts(case, systems, wanted)]:
        given = target_log_probabilities(lm, _prompt(case, context.text), target)
        key = _key(case, context.system, context.rate)
        yield {**key, "kl": mean_kl(full, given), "nll": mean_nll(given, target)}


def _key(case: Case, system: str, rate: int) -> dict[str, object]:
    return {"set": case.set, "id": case.id, "system": system, "rate": rate}


def _prompt(case: Case, context: str) -> str:
    return question_prompt(case.query, context) if case.query.strip() else context


def _target(lm: CausalModel, answer: str) -> Tensor:
    import torch

    ids = lm.tokenizer(" " + answer.strip(), add_special_tokens=False)["input_ids"]
    return torch.tensor(ids, dtype=torch.long, device=lm.device)
