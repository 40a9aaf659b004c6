"""GistMiddleware: a conversation of any length for ``langchain.agents.create_agent``. Needs ``langchain``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Unpack

from langchain.agents.middleware.types import (
    AgentMiddleware,
    AgentState,
    ModelCallResult,
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
)
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage
from langchain_core.tools import BaseTool
from langgraph.types import Command

from gist_core.memory.archive import Archive
from gist_core.settings import MemoryOptions, MemorySettings
from langchain_gist.memory._recall_tool import RECALL_TOOL, recall_tool
from langchain_gist.memory._results import ResultShortener
from langchain_gist.memory._views import Views

ToolResult = ToolMessage | Command[Any]


class GistMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Shows an agent's model a compacted view of the conversation; the agent's state keeps every message.

    The system prompt counts towards ``high_water``, the tools' definitions come on top. State is kept for each thread:
    give agents that serve several conversations a ``thread_id``. An agent that runs inside another one's node, as in a
    tool, has a conversation of its own.

    With ``tool_output_tokens`` a tool's longer result is shortened, around the user's last message, before it enters
    the state. The original goes into the archive, into a conversation of its own, ``<thread>/tool-results``; the
    shortened message's ``additional_kwargs["gist_original"]`` holds its ``conversation`` and ``id`` there. Commands,
    and results that are not text alone, as a string or as blocks, are left as they are.

    Args:
        tool_output_tokens: Most tokens of a tool's result; None leaves results alone.
        archive: Where the originals are kept, with the gists; in memory if not given.
        conversation: The one that is meant where no thread is named.
        **settings: As in ``compact_messages``.

    Attributes:
        archive: The archive in use.

    Example:
        >>> memory = GistMiddleware(high_water=4_000)  # doctest: +SKIP
        >>> create_agent(chat_model, [*tools, memory.recall_tool()], middleware=[memory])  # doctest: +SKIP

    Raises:
        GistError: A setting is unusable.
    """

    def __init__(
        self,
        *,
        tool_output_tokens: int | None = None,
        archive: Archive | None = None,
        conversation: str = "default",
        **settings: Unpack[MemoryOptions],
    ) -> None:
        super().__init__()
        self._views = Views(MemorySettings.from_options(settings), archive, conversation)
        self._shorten = None if tool_output_tokens is None else ResultShortener(tool_output_tokens, self._views)
        self.archive = self._views.conversations.archive

    def recall_tool(self, tokens: int = 1_000) -> BaseTool:
        """A tool, ``recall_conversation``, by which the agent asks for what the view no longer shows.

        Args:
            tokens: Most tokens of an answer.
        """
        return recall_tool(self._views, tokens)

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelCallResult[Any]:
        """Calls the model with the view."""
        messages = _prompt(request)
        return handler(_with_view(request, self._views.view(messages, self._views.thread())))

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelCallResult[Any]:
        """As ``wrap_model_call``, off the event loop."""
        messages = _prompt(request)
        return await handler(_with_view(request, await self._views.aview(messages, self._views.thread())))

    def wrap_tool_call(self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolResult]) -> ToolResult:
        """Shortens what the tool returns."""
        return self._result(request, handler(request))

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolResult]]
    ) -> ToolResult:
        """As ``wrap_tool_call``, off the event loop."""
        result = await handler(request)
        return result if self._shorten is None else await asyncio.to_thread(self._result, request, result)

    def _result(self, request: ToolCallRequest, result: ToolResult) -> ToolResult:
        if self._shorten is None or not isinstance(result, ToolMessage) or request.tool_call["name"] == RECALL_TOOL:
            return result
        return self._shorten(result, _asked(request.state), self._views.thread(request.runtime.config))


def _prompt(request: ModelRequest[Any]) -> list[BaseMessage]:
    """All messages of a call, the system's first, which a request holds apart."""
    system = [request.system_message] if request.system_message is not None else []
    return [*system, *request.messages]


def _with_view(request: ModelRequest[Any], view: list[BaseMessage]) -> ModelRequest[Any]:
    messages: list[Any] = [message for message in view if message is not request.system_message]
    return request.override(messages=messages)


def _asked(state: Any) -> str | None:
    """What the user said last."""
    messages = state["messages"] if isinstance(state, dict) else getattr(state, "messages", [])
    return next((message.text for message in reversed(messages) if isinstance(message, HumanMessage)), None)
