"""What every hook does with messages: turns, the conversation's compactor, its view, messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

from gist_core.budget import Budget
from gist_core.fallback import WRONG_SETTINGS, tell
from gist_core.memory.archive import Archive
from gist_core.memory.recall import Recall
from gist_core.settings import MemorySettings
from langchain_gist.memory._messages import check_messages, from_compaction, to_turns

DEFAULT_CONVERSATION = "default"

logger = logging.getLogger(__name__)


class Views:
    """The views of many conversations.

    Args:
        settings: How they are kept small.
        archive: Where their originals are kept; in memory if not given.
        conversation: The one that is meant where a config names no thread.
    """

    def __init__(
        self, settings: MemorySettings, archive: Archive | None = None, conversation: str = DEFAULT_CONVERSATION
    ) -> None:
        self.settings = replace(settings, model=settings.compressor())  # one model for all that is built from them
        self.conversation = conversation
        self.conversations = self.settings.conversations(archive)

    def thread(self, config: RunnableConfig | None = None) -> str:
        """The conversation a config names by its thread, or the runnable that is running; else the default.

        A graph that a node of another one runs has a conversation of its own, ``<thread>/<node>``.
        """
        found = thread_of(config)
        return "/".join([self.conversation if found is None else found, *_nodes_around(config)])

    def view(self, messages: Sequence[BaseMessage], conversation: str | None) -> list[BaseMessage]:
        """The messages as the model shall see them.

        Args:
            messages: The whole conversation; not changed.
            conversation: Its name; None for one of which nothing is remembered.

        Raises:
            InvalidInputError: One of them is no message.
            Exception: They cannot be read or compacted, and the settings say ``on_error="raise"``; or those are wrong.
        """
        check_messages(messages)
        try:
            conversations = self.conversations if conversation is not None else self.settings.conversations()
            compactor = conversations.of(DEFAULT_CONVERSATION if conversation is None else conversation)
            return from_compaction(messages, compactor.compact(to_turns(messages)))
        except Exception as error:
            if self.settings.on_error == "raise" or isinstance(error, WRONG_SETTINGS):
                raise
            tell(logger, f"The messages stay as they were: {type(error).__name__}: {error}", error)
            return list(messages)

    async def aview(self, messages: Sequence[BaseMessage], conversation: str | None) -> list[BaseMessage]:
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


def thread_of(config: RunnableConfig | None = None) -> str | None:
    """The thread that a config names, or the runnable that is running."""
    found = ensure_config(config).get("configurable", {}).get("thread_id")
    return None if found is None else str(found)


def _nodes_around(config: RunnableConfig | None) -> list[str]:
    """The nodes inside which the running graph runs, outermost first; none for a graph that nothing runs inside.

    LangGraph names them in ``checkpoint_ns``, each with the id of its task, and the running graph's own node last.
    """
    space = ensure_config(config).get("configurable", {}).get("checkpoint_ns") or ""
    parts = [part.partition(":")[0] for part in str(space).split("|") if not part.isdigit()]
    return parts[:-1]
