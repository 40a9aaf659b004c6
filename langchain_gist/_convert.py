"""Documents to passages and back. Nothing given is changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.documents import Document

from gist_core.errors import InvalidInputError
from gist_core.passage import Compressed, Passage
from gist_core.settings import CompressionSettings

METADATA_KEY = "gist"
SCORE_KEY = "relevance_score"  # where LangChain's rerankers put theirs
_STATE, _EMBEDDING = "state", "embedded_doc"  # where LangChain's filters leave a text's embedding for the next one


def checked(documents: Iterable[Document]) -> list[Document]:
    """The documents as a list.

    Raises:
        InvalidInputError: One of them is none.
    """
    if not isinstance(documents, Iterable):
        raise InvalidInputError(f"The documents are {documents!r}.", hint="Pass a list of Document(page_content=...).")
    found = list(documents)
    for at, document in enumerate(found):
        if not isinstance(document, Document):
            raise InvalidInputError(
                f"documents[{at}] is a {type(document).__name__}.", hint="Pass Document(page_content=...)."
            )
    return found


def to_passages(documents: Sequence[Document], settings: CompressionSettings) -> list[Passage]:
    """One passage per document; the id is the document's, or else its position."""
    return [
        settings.passage(str(rank) if document.id is None else document.id, document.page_content, document.metadata)
        for rank, document in enumerate(documents)
    ]


def to_documents(documents: Sequence[Document], results: Sequence[Compressed], *, drop_empty: bool) -> list[Document]:
    """Copies with the compressed text, in the order given; ids and the rest of the metadata stay."""
    return [
        _copy(document, result, rank)
        for rank, (document, result) in enumerate(zip(documents, results, strict=True))
        if not drop_empty or result.text.strip()
    ]


def _copy(document: Document, result: Compressed, rank: int) -> Document:
    added = {SCORE_KEY: float(result.score), METADATA_KEY: _account(result, rank)}
    changed: dict[str, Any] = {"page_content": result.text, "metadata": {**document.metadata, **added}}
    state = getattr(document, _STATE, None)
    if isinstance(state, dict):  # where one text has its embedding, filters take it that all have: so none has
        changed[_STATE] = {key: value for key, value in state.items() if key != _EMBEDDING}
    return document.model_copy(update=changed)


def _account(result: Compressed, rank: int) -> dict[str, Any]:
    """What was done to one document, as JSON: ``kept`` are character offsets of its own text."""
    return {
        "rank": rank,
        "tokens_in": result.usage.tokens_in,
        "tokens_out": result.usage.tokens_out,
        "kept": None if result.kept is None else [[start, end] for start, end in result.kept],
        "source_hash": result.source_hash,
        "model": result.model,
    }
