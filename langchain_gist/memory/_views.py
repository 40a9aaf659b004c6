"""What every hook does with messages: turns, the conversation's compactor, its view, messages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

from gist_core.budget import Budget
from gist_core.memory.archive import Archive
from gist_core.memory.recall import Recall
from gist_core.settings import MemorySettings
from langchain_gist.memory._messages import from_compaction, to_turns


class Views:
    """The views of many conversations.

    Args:
        settings: How they are kept small.
        archive: Where their originals are kept; in memory if not given.
        conversation: The one that is meant where a config names no thread.
    """

    def __init__(self, settings: MemorySettings, archive: Archive | None = None, conversation: str = "default") -> None:
        self.settings = replace(settings, model=settings.compressor())  # one model for all that is built from them
        self.conversation = conversation
        self.conversations = self.settings.conversations(archive)

    def thread(self, config: RunnableConfig | None = None) -> str:
        """The conversation a config names by its thread, or the runnable that is running; else the default."""
        found = ensure_config(config).get("configurable", {}).get("thread_id")
        return self.conversation if found is None else str(found)

    def view(self, messages: Sequence[BaseMessage], conversation: str) -> list[BaseMessage]:
        """The messages as the model shall see them."""
        return from_compaction(messages, self.conversations.of(conversation).compact(to_turns(messages)))

    async def aview(self, messages: Sequence[BaseMessage], conversation: str) -> list[BaseMessage]:
        """As ``view``, off the event loop."""
        return await asyncio.to_thread(self.view, messages, conversation)

    def recall(self, query: str, tokens: int, conversation: str) -> Recall:
        """What a conversation's archive says on a question."""
        return self.conversations.of(conversation).recall(
            query, Budget(tokens=tokens, tokenizer=self.settings.tokenizer)
        )

    async def arecall(self, query: str, tokens: int, conversation: str) -> Recall:
        """As ``recall``, off the event loop."""
        return await asyncio.to_thread(self.recall, query, tokens, conversation)
