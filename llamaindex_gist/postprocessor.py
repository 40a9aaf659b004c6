"""GistNodePostprocessor: a LlamaIndex node postprocessor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]  # re-exported, not in __all__
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import NodeWithScore, QueryBundle
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from gist_core.compressor import TextCompressor
from gist_core.errors import InvalidInputError
from gist_core.passage import Compressed, Passage
from gist_core.settings import CompressionSettings
from llamaindex_gist._convert import checked, to_nodes, to_passages
from llamaindex_gist._fields import Model, Number, Patterns, Tokenizer, Whole, model_name
from llamaindex_gist.events import GistCompressionEndEvent, GistCompressionStartEvent

dispatcher = get_dispatcher(__name__)


class GistNodePostprocessor(BaseNodePostprocessor):
    """Keeps what answers the query, within a token budget over all text nodes together.

    The nodes come back in their order, as copies with their ids, relationships, metadata and the retriever's score.
    ``metadata["gist"]``, hidden from the LLM and the embedder, holds the original position (``rank``, from 0), our
    relevance (``score``), the tokens in and out, the kept character spans, the source's hash and the model. Nodes that
    hold an image, audio or video pass through. A node's ``metadata["keep"]`` may hold ``[start, end]`` pairs that must
    stay; pairs that do not fit its text are left out with a GistWarning.

    With no size given, a quarter of the tokens is kept. The settings are checked here and the weights load at the
    first call. If the model fails at run time the nodes are truncated to the budget with a GistWarning
    (``on_error``), and so are they where what has to stay does not fit. ``to_dict`` holds no tokenizer object, and no
    model that ``load_compressor`` did not make: ``from_dict(data, tokenizer=..., model=...)`` takes them again.

    Example:
        >>> index.as_query_engine(node_postprocessors=[GistNodePostprocessor(tokens=500)])  # doctest: +SKIP

    Raises:
        GistError: A setting is unusable; the message says how to mend it.
        pydantic.ValidationError: A setting is unknown or of the wrong type.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    model: Model = Field("default", description="'default', a local folder, a hub id, or a TextCompressor to share.")
    tokens: Whole | None = Field(None, description="Most tokens kept.")
    ratio: Number | None = Field(None, description="Largest share of the tokens kept; 0.25 if no size is given.")
    threshold: Number | None = Field(None, description="Only what scores above it is kept.")
    scope: Literal["total", "each"] = Field("total", description="Size of all nodes together, or of each.")
    tokenizer: Tokenizer = Field("o200k_base", description="Encoding or model name, HF tokenizer, or str -> int.")
    separator: str = Field("\n\n", description="What stands between nodes in the prompt; counted.")
    keep: Patterns = Field((), description="Regular expressions whose matches must stay.")
    device: str = Field("auto", description="'auto', 'cpu', 'mps', 'cuda' or 'cuda:<number>'.")
    on_error: Literal["truncate", "original", "raise"] = Field("truncate", description="Answer to a run-time failure.")
    drop_empty: bool = Field(default=True, description="Leave out nodes of which nothing was kept.")
    allow_empty: bool = Field(default=False, description="With a threshold, nothing at all may be kept.")
    timeout: Number | None = Field(None, description="Seconds per call; None for no limit.")

    _built: tuple[CompressionSettings, TextCompressor] | None = PrivateAttr(default=None)

    if not TYPE_CHECKING:  # type checkers read the fields; errors of the settings stay what they are: GistErrors

        def __init__(self, **data: Any) -> None:
            data.pop("class_name", None)  # LlamaIndex writes it into every dump
            super().__init__(**data)
            self._compressor()

    @classmethod
    def class_name(cls) -> str:
        """Name in serialized form."""
        return "GistNodePostprocessor"

    @dispatcher.span
    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        settings, compressor = self._compressor()
        passages = to_passages(checked(nodes), settings)
        if not passages:
            return list(nodes)
        arguments = self._start(settings, passages, query_bundle)
        return self._end(nodes, compressor.compress(passages, **arguments))

    @dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        settings, compressor = self._compressor()
        passages = to_passages(checked(nodes), settings)
        if not passages:
            return list(nodes)
        arguments = self._start(settings, passages, query_bundle)
        return self._end(nodes, await compressor.acompress(passages, **arguments))

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

    def _start(
        self, settings: CompressionSettings, passages: Sequence[Passage], query_bundle: QueryBundle | None
    ) -> dict[str, Any]:
        """Tells that a call begins; gives its arguments. A missing or blank query is none."""
        text = getattr(query_bundle, "query_str", query_bundle) or ""
        if not isinstance(text, str):
            raise InvalidInputError(f"The query is {text!r}.", hint='Pass query_str="..." or QueryBundle("...").')
        query = text if text.strip() else None
        name = model_name(self.model)
        dispatcher.event(GistCompressionStartEvent(query=query, nodes=len(passages), model_name=name))
        return {
            "query": query,
            "budget": settings.budget(),
            "keep": settings.keep,
            "allow_empty": settings.allow_empty,
        }

    def _end(self, nodes: Sequence[NodeWithScore], results: Sequence[Compressed]) -> list[NodeWithScore]:
        dispatcher.event(
            GistCompressionEndEvent(
                nodes=sum(bool(result.text.strip()) for result in results),
                tokens_in=sum(result.usage.tokens_in for result in results),
                tokens_out=sum(result.usage.tokens_out for result in results),
                milliseconds=results[0].usage.milliseconds,
                model_name=results[0].model,
            )
        )
        return to_nodes(nodes, results, drop_empty=self.drop_empty)

    def __getstate__(self) -> dict[Any, Any]:
        state = BaseModel.__getstate__(self)  # the base class tries to pickle all, weights too, and drops what fails
        settings = {name: value for name, value in state["__dict__"].items() if name != "callback_manager"}
        return {**state, "__dict__": settings, "__pydantic_private__": {"_built": None}}
