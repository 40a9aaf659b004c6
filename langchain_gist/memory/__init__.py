"""Chat memory for LangChain and LangGraph: conversations of any length under a token limit, with nothing lost."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gist_core.errors import MissingExtraError
from langchain_gist.memory._messages import turn_to_message
from langchain_gist.memory.compact import compact_messages
from langchain_gist.memory.edit import GistEdit
from langchain_gist.memory.history import GistChatMessageHistory
from langchain_gist.memory.hooks import gist_pre_model_hook, gist_rewrite_hook
from langchain_gist.memory.store import StoreArchive
from langchain_gist.memory.summarizer import gist_summarizer

if TYPE_CHECKING:
    from langchain_gist.memory.middleware import GistMiddleware

__all__ = [
    "GistChatMessageHistory",
    "GistEdit",
    "GistMiddleware",
    "StoreArchive",
    "compact_messages",
    "gist_pre_model_hook",
    "gist_rewrite_hook",
    "gist_summarizer",
    "turn_to_message",
]
_AGENTS = {"GistMiddleware": "langchain_gist.memory.middleware"}


def __getattr__(name: str) -> Any:
    """What needs more than langchain-core is imported when it is asked for.

    Raises:
        MissingExtraError: ``langchain`` or ``langgraph`` is not installed.
    """
    if name not in _AGENTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_AGENTS[name]), name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{name} needs {error.name}.", hint='pip install "gist-compressor[langchain-agents]"'
        ) from error
