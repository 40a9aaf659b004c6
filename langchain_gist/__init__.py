"""Gist for LangChain: retrieved documents within a token budget, and conversations under a token limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_gist import memory
from langchain_gist.compressor import GistCompressor
from langchain_gist.memory import (
    GistChatMessageHistory,
    GistEdit,
    StoreArchive,
    compact_messages,
    gist_pre_model_hook,
    gist_rewrite_hook,
    gist_summarizer,
)

if TYPE_CHECKING:
    from langchain_gist.memory import GistMiddleware

__all__ = [
    "GistChatMessageHistory",
    "GistCompressor",
    "GistEdit",
    "GistMiddleware",
    "StoreArchive",
    "compact_messages",
    "gist_pre_model_hook",
    "gist_rewrite_hook",
    "gist_summarizer",
]


def __getattr__(name: str) -> Any:
    """What needs more than langchain-core is imported when it is asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(memory, name)
