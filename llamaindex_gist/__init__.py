"""Gist for LlamaIndex: retrieved nodes, compressed around the query within a token budget."""

from llamaindex_gist.events import GistCompressionEndEvent, GistCompressionStartEvent
from llamaindex_gist.postprocessor import GistNodePostprocessor

__all__ = ["GistCompressionEndEvent", "GistCompressionStartEvent", "GistNodePostprocessor"]
