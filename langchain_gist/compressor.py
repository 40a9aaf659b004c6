"""GistCompressor: a LangChain document compressor."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.runnables import Runnable, RunnableLambda
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PrivateAttr,
    SkipValidation,
    WithJsonSchema,
)

from gist_core.compressor import TextCompressor
from gist_core.errors import InvalidInputError
from gist_core.passage import Compressed
from gist_core.settings import CompressionSettings, not_bool, pattern_texts, saved_model
from langchain_gist._convert import checked, to_documents, to_passages

_Model = Annotated[
    str | os.PathLike[str] | TextCompressor,
    SkipValidation,
    WithJsonSchema({"type": "string"}),
    PlainSerializer(saved_model, when_used="json"),
]
_Tokenizer = Annotated[
    Any,
    WithJsonSchema({"type": "string"}),
    PlainSerializer(lambda spec: spec if isinstance(spec, str) else None, when_used="json"),
]
_Whole = Annotated[int, BeforeValidator(not_bool)]
_Number = Annotated[float, BeforeValidator(not_bool)]
_Patterns = Annotated[Sequence[str | re.Pattern[str]], BeforeValidator(pattern_texts)]


class GistCompressor(BaseDocumentCompressor):
    """Keeps what answers the query, within a token budget over all documents together.

    The documents come back in their order, as copies with their ids and metadata. ``metadata["relevance_score"]`` is
    the relevance to the query; ``metadata["gist"]`` holds the original position (``rank``, from 0), the tokens in and
    out, the kept character spans, the source's hash and the model. A document's ``metadata["keep"]`` may hold
    ``[start, end]`` pairs that must stay; pairs that do not fit its text are left out with a GistWarning.

    With no size given, a quarter of the tokens is kept. The settings are checked here and the weights load at the
    first call. If the model fails at run time the documents are truncated to the budget with a GistWarning
    (``on_error``), and so are they where what has to stay does not fit. A tokenizer object, and a model that
    ``load_compressor`` did not make, are not written to JSON: pass them again when loading.

    Example:
        >>> from langchain_classic.retrievers import ContextualCompressionRetriever
        >>> compressor = GistCompressor(tokens=500)
        >>> ContextualCompressionRetriever(base_compressor=compressor, base_retriever=...)  # doctest: +SKIP

    Raises:
        GistError: A setting is unusable; the message says how to mend it.
        pydantic.ValidationError: A setting is unknown or of the wrong type.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    model: _Model = Field("default", description="'default', a local folder, a hub id, or a TextCompressor to share.")
    tokens: _Whole | None = Field(None, description="Most tokens kept.")
    ratio: _Number | None = Field(None, description="Largest share of the tokens kept; 0.25 if no size is given.")
    threshold: _Number | None = Field(None, description="Only what scores above it is kept.")
    scope: Literal["total", "each"] = Field("total", description="Size of all documents together, or of each.")
    tokenizer: _Tokenizer = Field("o200k_base", description="Encoding or model name, HF tokenizer, or str -> int.")
    separator: str = Field("\n\n", description="What stands between documents in the prompt; counted.")
    keep: _Patterns = Field((), description="Regular expressions whose matches must stay.")
    device: str = Field("auto", description="'auto', 'cpu', 'mps', 'cuda' or 'cuda:<number>'.")
    on_error: Literal["truncate", "original", "raise"] = Field("truncate", description="Answer to a run-time failure.")
    drop_empty: bool = Field(default=True, description="Leave out documents of which nothing was kept.")
    allow_empty: bool = Field(default=False, description="With a threshold, nothing at all may be kept.")
    timeout: _Number | None = Field(None, description="Seconds per call; None for no limit.")

    _built: tuple[CompressionSettings, TextCompressor] | None = PrivateAttr(default=None)

    if not TYPE_CHECKING:  # type checkers read the fields; errors of the settings stay what they are: GistErrors

        def __init__(self, **data: Any) -> None:
            super().__init__(**data)
            self._compressor()

    def compress_documents(
        self, documents: Iterable[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Compresses the documents around the query; an empty query compresses for no question in particular.

        Args:
            documents: What a retriever found; not changed.
            query: The question.
            callbacks: Part of LangChain's interface; not used.

        Raises:
            InvalidInputError: One of the documents is none, or the query is no text.
            GistError: A setting turns out to be unusable, such as a checkpoint that is damaged; or the model failed
                and ``on_error`` is ``"raise"``.
        """
        del callbacks
        settings, compressor = self._compressor()
        given, arguments = checked(documents), _arguments(settings, query)
        results = compressor.compress(to_passages(given, settings), **arguments) if given else []
        return self._answer(given, results)

    async def acompress_documents(
        self, documents: Iterable[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """As ``compress_documents``, off the event loop; concurrent calls share the model's batches."""
        del callbacks
        settings, compressor = self._compressor()
        given, arguments = checked(documents), _arguments(settings, query)
        results = await compressor.acompress(to_passages(given, settings), **arguments) if given else []
        return self._answer(given, results)

    def as_runnable(self) -> Runnable[dict[str, Any], list[Document]]:
        """A Runnable over ``{"documents": [...], "query": "..."}``, to be piped, batched, streamed and traced.

        Example:
            >>> step = {"documents": retriever, "query": RunnablePassthrough()} | compressor.as_runnable()
            ... # doctest: +SKIP
        """

        def invoke(inputs: dict[str, Any]) -> list[Document]:
            return self.compress_documents(inputs["documents"], inputs["query"])

        async def ainvoke(inputs: dict[str, Any]) -> list[Document]:
            return await self.acompress_documents(inputs["documents"], inputs["query"])

        return RunnableLambda(invoke, ainvoke, name=type(self).__name__)

    @property
    def fallbacks(self) -> int:
        """How many calls went on without the model."""
        return getattr(self._compressor()[1], "fallbacks", 0)

    def _compressor(self) -> tuple[CompressionSettings, TextCompressor]:
        """The settings as they are now, and their compressor: built once, and anew where a change calls for it."""
        settings = CompressionSettings.of(self)
        if self._built is None or not self._built[0].builds_as(settings):
            self._built = (settings, settings.build())
        return settings, self._built[1]

    def _answer(self, documents: Sequence[Document], results: Sequence[Compressed]) -> list[Document]:
        return to_documents(documents, results, drop_empty=self.drop_empty)

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        return {**state, "__pydantic_private__": {**(state["__pydantic_private__"] or {}), "_built": None}}


def _arguments(settings: CompressionSettings, query: str | None) -> dict[str, Any]:
    if query is not None and not isinstance(query, str):
        raise InvalidInputError(f"The query is {query!r}.", hint="Pass a str; an empty one for no question.")
    asked = query if query and query.strip() else None
    return {
        "query": asked,
        "budget": settings.budget(),
        "keep": settings.keep,
        "allow_empty": settings.allow_empty,
    }
