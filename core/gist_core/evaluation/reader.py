"""Readers: what answers the question from the context, whole and compressed, so that lost answers can be counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Protocol, runtime_checkable

from gist_core.cases import Case
from gist_core.compressor import TextCompressor
from gist_core.errors import CheckpointError, InvalidInputError
from gist_core.evaluation.contexts import Context, compressed_contexts
from gist_core.evaluation.flips import FULL
from gist_core.evaluation.reader_metrics import best_f1, exact_match
from gist_core.evaluation.rows import Key, appending, key, read_rows
from gist_core.evaluation.runner import source as whole_context

INSTRUCTION = "Answer the question with a few words of the context, and nothing else."


@runtime_checkable
class Reader(Protocol):
    """Answers a question from a context. Deterministic, so that a flip is the context's doing."""

    def answer(self, question: str, context: str) -> str:
        """The answer, as short as the reader can give it; empty if it finds none."""


def question_prompt(question: str, context: str) -> str:
    """What a generative reader is asked."""
    return f"{INSTRUCTION}\n\nContext:\n{context}\n\nQuestion: {question}\nAnswer:"


def load_reader(source: str) -> Reader:
    """A reader by name.

    Args:
        source: A folder or hub id of a question-answering or causal language model in the Hugging Face format, or
            ``"package.module:factory"``, a function without arguments that makes one. Only a hub id uses the network.

    Raises:
        InvalidInputError: The factory cannot be imported, or what it makes has no ``answer``.
        CheckpointError: There is no such model, or it is of another kind.
    """
    if ":" in source and not Path(source).exists():
        return _made_by(source)
    architecture = _architecture(source)
    if architecture.endswith("ForQuestionAnswering"):
        from gist_core.evaluation.extractive_reader import ExtractiveReader

        return ExtractiveReader(source)
    if architecture.endswith(("ForCausalLM", "LMHeadModel")):
        from gist_core.evaluation.causal import CausalReader

        return CausalReader(source)
    raise CheckpointError(
        f"{source!r} is of the architecture {architecture!r}.",
        hint="Name a model for question answering or a causal language model.",
    )


def run_reader(reader: Reader, cases: Iterable[Case], systems: Mapping[str, TextCompressor], out: Path) -> None:
    """Ask every case with answers over its full context and over each system's output; append to ``out``.

    Args:
        reader: Who answers.
        cases: The questions; those without gold answers are left out.
        systems: What compresses.
        out: ``answers.jsonl``: set, id, system (``"full"`` for the whole context), rate, prediction, exact, f1. Rows
            already there are not made again; a system that fails on a case has no row for it.
    """
    done = {key(row) for row in read_rows(out)}
    with appending(out) as append:
        for case in cases:
            if case.answers:
                for context in _contexts(case, systems, done):
                    append(answer_row(case, context, reader.answer(case.query, context.text)))


def answer_row(case: Case, context: Context, prediction: str) -> dict[str, object]:
    """One answer and how right it is."""
    return {
        "set": case.set,
        "id": case.id,
        "system": context.system,
        "rate": context.rate,
        "prediction": prediction,
        "exact": exact_match(prediction, case.answers),
        "f1": round(best_f1(prediction, case.answers), 4),
    }


def _contexts(case: Case, systems: Mapping[str, TextCompressor], done: set[Key]) -> Iterator[Context]:
    def wanted(system: str, rate: int) -> bool:
        return (case.set, case.id, system, rate) not in done

    if wanted(FULL, 1):
        yield Context(FULL, 1, whole_context(case))
    yield from compressed_contexts(case, systems, wanted)


def _architecture(source: str) -> str:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"No reader at {source!r}: {error}", hint="Name a folder or a hub id.") from error
    return str((config.architectures or ["unknown"])[0])


def _made_by(source: str) -> Reader:
    module, _, name = source.partition(":")
    try:
        reader = getattr(import_module(module), name)()
    except (ImportError, AttributeError) as error:
        raise InvalidInputError(
            f"The reader {source!r} cannot be made: {error}.", hint="Write package.module:factory."
        ) from error
    if not isinstance(reader, Reader):
        raise InvalidInputError(
            f"{source!r} made a {type(reader).__name__}, which cannot answer.",
            hint="It needs a method answer(question, context) -> str.",
        )
    return reader
