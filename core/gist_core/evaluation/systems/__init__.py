"""What compressors are measured beside: each is a ``TextCompressor``, made by a function named in a table.

To add one, write a function without arguments that makes a ``TextCompressor``, and a line in ``SYSTEMS``; a user's own
needs no line, ``gist evaluate --system package.module:function`` takes it as it is.

    units.py         a compressor from scores of units
    simple.py        head, tail, random
    lexical.py       BM25, TextRank
    minilm.py        all-MiniLM-L6-v2
    rates.py         a compressor that is told a rate, held to a budget
    llmlingua.py     LLMLingua, LLMLingua-2
    openprovence.py  OpenProvence
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from gist_core.budget import Budget
from gist_core.compressor import TextCompressor
from gist_core.errors import CompressionError, GistError, InvalidInputError, MissingExtraError
from gist_core.passage import Passage

_HERE = "gist_core.evaluation.systems"
SYSTEMS = {
    "head": f"{_HERE}.simple:head",
    "tail": f"{_HERE}.simple:tail",
    "random sentences": f"{_HERE}.simple:random_sentences",
    "bm25": f"{_HERE}.lexical:bm25",
    "textrank": f"{_HERE}.lexical:textrank",
    "minilm sentences": f"{_HERE}.minilm:sentences",
    "minilm sentences + passages": f"{_HERE}.minilm:sentences_and_passages",
    "SentenceEmbeddingOptimizer": "llamaindex_gist.evaluation:sentence_embedding_optimizer",
    "EmbeddingsFilter": "langchain_gist.evaluation:embeddings_filter",
    "llmlingua": f"{_HERE}.llmlingua:llmlingua",
    "llmlingua-2": f"{_HERE}.llmlingua:llmlingua2",
    "llmlingua-2-small": f"{_HERE}.llmlingua:llmlingua2_small",
    "openprovence": f"{_HERE}.openprovence:openprovence",
}


def load_system(name: str) -> TextCompressor:
    """A system by its name in ``SYSTEMS``, or by ``"package.module:function"``; the function takes no arguments.

    It is tried on a sentence, so that what is missing is known before and loading counts as no one's time.

    Raises:
        InvalidInputError: There is no such system, or its function makes something else.
        MissingExtraError: A package it needs is not installed.
        CompressionError: It fails. GistError: what it raises itself, where its model cannot be had.
    """
    module, _, function = SYSTEMS.get(name, name).partition(":")
    if not module or not function:
        raise InvalidInputError(
            f"There is no system {name!r}.", hint=f"Write package.module:function, or one of: {', '.join(SYSTEMS)}."
        )
    factory = _factory(name, module, function)
    try:
        return _tried(name, factory())
    except GistError:
        raise
    except Exception as error:  # it may be anyone's
        raise CompressionError(
            f"The system {name!r} fails: {type(error).__name__}: {error}", hint="Its own documentation may say why."
        ) from error


def load_available(names: Iterable[str]) -> tuple[dict[str, TextCompressor], dict[str, str]]:
    """The systems of ``names`` that can be had, and for each of the others why not."""
    systems: dict[str, TextCompressor] = {}
    missing: dict[str, str] = {}
    for name in names:
        try:
            systems[name] = load_system(name)
        except GistError as error:
            missing[name] = str(error)
    return systems, missing


def _factory(name: str, module: str, function: str) -> Any:
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if name not in SYSTEMS and f"{module}.".startswith(f"{error.name}."):
            raise InvalidInputError(
                f"There is no module {module!r}.", hint="It must be installed, or lie in the current folder."
            ) from error
        raise MissingExtraError(
            f"{error.name} is not installed.", hint="pip install 'gist-compressor[evaluate]'"
        ) from error
    if not callable(made := getattr(found, function, None)):
        raise InvalidInputError(f"{module} has no function {function!r}.", hint="Name one that makes a TextCompressor.")
    return made


def _tried(name: str, system: object) -> TextCompressor:
    if not isinstance(system, TextCompressor):
        raise InvalidInputError(
            f"{name!r} made a {type(system).__name__}.", hint="It must have model_id, compress and acompress."
        )
    passages = [Passage("1", "The cat sat on the mat. The dog ran away.")]
    system.compress(passages, query="Who sat?", budget=Budget(tokens=8, tokenizer="cl100k_base"))
    return system
