"""Hooks for LangGraph: a ``pre_model_hook`` or a node before the model, over a state with messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from langchain_core.messages import BaseMessage, RemoveMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from gist_core.memory.archive import Archive
from gist_core.settings import MemoryOptions, MemorySettings
from langchain_gist.memory._views import Views

_REMOVE_ALL = "__remove_all__"  # langgraph.graph.message.REMOVE_ALL_MESSAGES, which langgraph alone has


def gist_pre_model_hook(
    *, archive: Archive | None = None, conversation: str = "default", **settings: Unpack[MemoryOptions]
) -> Runnable[Any, dict[str, Any]]:
    """A hook that shows the model a compacted view; the state keeps every message.

    It returns ``{"llm_input_messages": view}``, which ``create_react_agent`` reads. What the agent adds to the view,
    its prompt and its tools, comes on top of ``high_water``. State is kept for each thread.

    Args:
        archive: Where the originals are kept, with the gists; in memory if not given.
        conversation: The one that is meant where no thread is named.
        **settings: As in ``compact_messages``.

    Example:
        >>> create_react_agent(chat_model, tools, pre_model_hook=gist_pre_model_hook())  # doctest: +SKIP
    """
    views = Views(MemorySettings.from_options(settings), archive, conversation)

    def invoke(state: Any, config: RunnableConfig) -> dict[str, Any]:
        return {"llm_input_messages": views.view(_messages(state), views.thread(config))}

    async def ainvoke(state: Any, config: RunnableConfig) -> dict[str, Any]:
        return {"llm_input_messages": await views.aview(_messages(state), views.thread(config))}

    return RunnableLambda(invoke, ainvoke, name="gist_pre_model_hook")


def gist_rewrite_hook(
    *, archive: Archive | None = None, conversation: str = "default", **settings: Unpack[MemoryOptions]
) -> Runnable[Any, dict[str, Any]]:
    """A hook or node that puts the compacted view in the place of the state's messages.

    The state stays as small as the view; the originals are in the archive alone, so pass one that outlives the process
    if they shall. It works in any graph whose ``messages`` are reduced by ``add_messages``.

    Args:
        archive: Where the originals are kept, with the gists; in memory if not given.
        conversation: The one that is meant where no thread is named.
        **settings: As in ``compact_messages``.

    Example:
        >>> create_react_agent(chat_model, tools, pre_model_hook=gist_rewrite_hook(archive=archive))  # doctest: +SKIP
    """
    views = Views(MemorySettings.from_options(settings), archive, conversation)

    def invoke(state: Any, config: RunnableConfig) -> dict[str, Any]:
        messages = _messages(state)
        return _update(messages, views.view(messages, views.thread(config)))

    async def ainvoke(state: Any, config: RunnableConfig) -> dict[str, Any]:
        messages = _messages(state)
        return _update(messages, await views.aview(messages, views.thread(config)))

    return RunnableLambda(invoke, ainvoke, name="gist_rewrite_hook")


def _messages(state: Any) -> list[BaseMessage]:
    """The messages of a state, which is a mapping or an object."""
    return list(state["messages"] if isinstance(state, Mapping) else state.messages)


def _update(messages: Sequence[BaseMessage], view: Sequence[BaseMessage]) -> dict[str, Any]:
    same = len(messages) == len(view) and all(a is b for a, b in zip(messages, view, strict=True))
    return {"messages": [] if same else [RemoveMessage(id=_REMOVE_ALL), *view]}
