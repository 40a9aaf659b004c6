"""Instrumentation events: LlamaIndex has none for compression and memory."""

from __future__ import annotations

from llama_index.core.instrumentation.events import BaseEvent
from pydantic import ConfigDict


class GistCompressionStartEvent(BaseEvent):
    """A call begins.

    Args:
        query: The question, or None.
        nodes: Number of text nodes to compress.
        model_name: The setting ``model``.
    """

    model_config = ConfigDict(protected_namespaces=("pydantic_model_",))
    query: str | None
    nodes: int
    model_name: str

    @classmethod
    def class_name(cls) -> str:
        """Name in traces."""
        return "GistCompressionStartEvent"


class GistCompressionEndEvent(BaseEvent):
    """A call has ended well.

    Args:
        nodes: Number of text nodes that kept some text.
        tokens_in: Tokens of the texts before, each counted alone.
        tokens_out: Tokens of the texts after, each counted alone.
        milliseconds: Wall time of the compression.
        model_name: Checkpoint and version, or the name of the fallback that stepped in.
    """

    model_config = ConfigDict(protected_namespaces=("pydantic_model_",))
    nodes: int
    tokens_in: int
    tokens_out: int
    milliseconds: float
    model_name: str

    @classmethod
    def class_name(cls) -> str:
        """Name in traces."""
        return "GistCompressionEndEvent"


class GistMemoryEvent(BaseEvent):
    """A conversation has taken messages in.

    Args:
        session: The conversation.
        tokens_in: Tokens of the whole conversation, word for word.
        tokens_out: Tokens of what the LLM will see of it.
        milliseconds: Wall time of the call.
    """

    session: str
    tokens_in: int
    tokens_out: int
    milliseconds: float

    @classmethod
    def class_name(cls) -> str:
        """Name in traces."""
        return "GistMemoryEvent"
