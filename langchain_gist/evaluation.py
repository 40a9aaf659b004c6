"""LangChain's compressors and models under ``gist evaluate``: your own pipeline measured beside Gist.

In a module of yours, ``mypackage.py``, then ``gist evaluate --system mypackage:pipeline``:

Example:
    >>> from langchain_gist.evaluation import as_text_compressor
    >>> def pipeline():
    ...     return as_text_compressor(my_retriever.base_compressor, name="my pipeline")
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import Runnable

from gist_core.budget import Budget
from gist_core.errors import MissingExtraError
from gist_core.evaluation.embedding import shared_encoder
from gist_core.evaluation.outside import OutsideCompressor, cut_to, joined_tokens, largest, token_limit
from gist_core.evaluation.reader import question_prompt
from gist_core.passage import Passage

INDEX_KEY = "passage"  # of a document's metadata: which passage it came from


def as_text_compressor(
    compressor: BaseDocumentCompressor | Callable[[Budget], BaseDocumentCompressor], *, name: str = ""
) -> OutsideCompressor:
    """A LangChain document compressor, or a pipeline of them, as a TextCompressor.

    Documents that come back are led to their passage by their metadata (``"passage"``, its position); where that was
    dropped, to the first passage that holds their text, else to the first. Several of one passage are joined by the
    budget's separator.

    Args:
        compressor: A compressor, such as ``ContextualCompressionRetriever.base_compressor``, whose output is measured
            as it is, over the budget or not; or a function that makes one for a budget, so that it can keep to it.
        name: What results and reports call it; default: the class's name.

    Example:
        >>> from langchain_gist import GistCompressor
        >>> as_text_compressor(lambda budget: GistCompressor(tokens=budget.tokens), name="gist").model_id
        'gist'
    """
    make = (lambda _: compressor) if isinstance(compressor, BaseDocumentCompressor) else compressor

    def shrink(passages: Sequence[Passage], query: str | None, budget: Budget) -> list[str]:
        documents = make(budget).compress_documents(to_documents(passages), query or "")
        return texts_of(documents, passages, budget.separator)

    return OutsideCompressor(name or type(compressor).__name__, shrink)


def embeddings_filter() -> OutsideCompressor:
    """LangChain's EmbeddingsFilter with all-MiniLM-L6-v2: the largest ``k`` whose documents fit into the budget.

    Where not even one document fits, the best one is cut at the budget after a whole word.

    Raises:
        MissingExtraError: langchain-classic or langchain-community, which it is built on, is not installed.
    """
    try:
        import langchain_community  # noqa: F401  # EmbeddingsFilter imports it when it is used
        from langchain_classic.retrievers.document_compressors import EmbeddingsFilter
    except ImportError as error:
        raise MissingExtraError(
            f"EmbeddingsFilter cannot be imported: {error}.", hint="pip install langchain-classic langchain-community"
        ) from error
    embeddings = _MiniLM()

    def shrink(passages: Sequence[Passage], query: str | None, budget: Budget) -> list[str]:
        limit = token_limit(passages, budget)

        def best(k: int) -> list[str]:
            found = EmbeddingsFilter(embeddings=embeddings, k=k).compress_documents(to_documents(passages), query or "")
            return texts_of(found, passages, budget.separator)

        if not passages:
            return []
        k = largest(len(passages), lambda n: joined_tokens(best(n), budget) <= limit)
        return best(k) if k else cut_to(best(1), limit, budget)

    return OutsideCompressor("EmbeddingsFilter", shrink)


class LangChainReader:
    """Any chat model or LLM of LangChain as the reader of ``gist evaluate --reader mypackage:factory``.

    Args:
        llm: The model; set its temperature to 0, so that a changed answer is the context's doing.
    """

    def __init__(self, llm: Runnable[Any, Any]) -> None:
        self._chain = llm | StrOutputParser()

    def answer(self, question: str, context: str) -> str:
        """The model's answer."""
        return self._chain.invoke(question_prompt(question, context)).strip()


def to_documents(passages: Sequence[Passage]) -> list[Document]:
    """One document a passage; its metadata, and its position in it."""
    return [Document(p.text, id=p.id, metadata={**p.metadata, INDEX_KEY: i}) for i, p in enumerate(passages)]


def texts_of(documents: Iterable[Document], passages: Sequence[Passage], separator: str) -> list[str]:
    """What the documents hold of each passage."""
    found: list[list[str]] = [[] for _ in passages]
    for document in documents:
        if document.page_content:
            found[_owner(document, passages)].append(document.page_content)
    return [separator.join(texts) for texts in found]


def _owner(document: Document, passages: Sequence[Passage]) -> int:
    index = document.metadata.get(INDEX_KEY)
    if isinstance(index, int):
        return index
    return next((i for i, p in enumerate(passages) if document.page_content in p.text), 0)


class _MiniLM(Embeddings):
    def __init__(self) -> None:
        self._encoder = shared_encoder()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = self._encoder.embed(texts).tolist()
        return vectors

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]
