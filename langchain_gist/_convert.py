"""Documents to passages and back. Nothing given is changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.documents import Document

from gist_core.metadata import understood
from gist_core.passage import Compressed, Passage

METADATA_KEY = "gist"
SCORE_KEY = "relevance_score"  # where LangChain's rerankers put theirs


def to_passages(documents: Sequence[Document]) -> list[Passage]:
    """One passage per document; the id is the document's, or else its position."""
    return [
        Passage(
            id=str(rank) if document.id is None else document.id,
            text=document.page_content,
            metadata=understood(document.metadata),
        )
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
    return document.model_copy(update={"page_content": result.text, "metadata": {**document.metadata, **added}})


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
