"""GistChatMessageHistory: any chat history, read as a compacted view."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Unpack

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage

from gist_core.memory.archive import Archive
from gist_core.memory.recall import Recall
from gist_core.settings import MemoryOptions, MemorySettings
from langchain_gist.memory._views import Views


class GistChatMessageHistory(BaseChatMessageHistory):
    """Reads a chat history as a compacted view and writes every message to it.

    The originals stay in the inner history. Keep one object for each session, or pass a shared ``model`` and an
    ``archive``: gists are remembered by the object and by the archive.

    Args:
        inner: The history that is read and written.
        conversation: The session's name in the archive.
        archive: Where the originals are kept once more, with the gists; in memory if not given.
        **settings: As in ``compact_messages``.

    Example:
        >>> history = GistChatMessageHistory(InMemoryChatMessageHistory(), high_water=4_000)

    Raises:
        GistError: A setting is unusable.
    """

    def __init__(
        self,
        inner: BaseChatMessageHistory,
        *,
        conversation: str = "default",
        archive: Archive | None = None,
        **settings: Unpack[MemoryOptions],
    ) -> None:
        self.inner = inner
        self._views = Views(MemorySettings.from_options(settings), archive, conversation)

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]
        """The compacted view."""
        return self._views.view(self.inner.messages, self._views.conversation)

    async def aget_messages(self) -> list[BaseMessage]:
        """As ``messages``, off the event loop."""
        return await self._views.aview(await self.inner.aget_messages(), self._views.conversation)

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Adds messages to the inner history."""
        self.inner.add_messages(messages)

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """As ``add_messages``."""
        await self.inner.aadd_messages(messages)

    def recall(self, query: str, tokens: int = 1_000) -> Recall:
        """What the conversation says on a question, word for word, also where no gist holds it any more.

        Args:
            query: The question.
            tokens: Most tokens of the answer.
        """
        self._views.view(self.inner.messages, self._views.conversation)  # what was added since belongs to it
        return self._views.recall(query, tokens, self._views.conversation)

    async def arecall(self, query: str, tokens: int = 1_000) -> Recall:
        """As ``recall``, off the event loop."""
        await self.aget_messages()
        return await self._views.arecall(query, tokens, self._views.conversation)

    def clear(self) -> None:
        """Forgets the conversation: the inner history, the archive's turns and the gists."""
        self.inner.clear()
        self._views.conversations.forget(self._views.conversation)

    async def aclear(self) -> None:
        """As ``clear``."""
        await self.inner.aclear()
        await asyncio.to_thread(self._views.conversations.forget, self._views.conversation)
