"""Gist for LlamaIndex: retrieved nodes within a token budget, and conversations under a token limit."""

from llamaindex_gist.events import GistCompressionEndEvent, GistCompressionStartEvent, GistMemoryEvent
from llamaindex_gist.memory import GistMemory, GistMemoryBlock, GistMessage, RecallMessage
from llamaindex_gist.postprocessor import GistNodePostprocessor

__all__ = [
    "GistCompressionEndEvent",
    "GistCompressionStartEvent",
    "GistMemory",
    "GistMemoryBlock",
    "GistMemoryEvent",
    "GistMessage",
    "GistNodePostprocessor",
    "RecallMessage",
]
