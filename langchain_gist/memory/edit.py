"""GistEdit: an edit for LangChain's ContextEditingMiddleware."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Unpack

from langchain_core.messages import BaseMessage

from gist_core.memory.archive import Archive
from gist_core.settings import MemoryOptions, MemorySettings
from langchain_gist.memory._views import Views


class GistEdit:
    """Compacts the messages of a model call; the agent's state keeps every message.

    The middleware calls edits on the event loop also where the agent is async, and copies all messages first:
    GistMiddleware does neither. The system prompt and the tools come on top of ``high_water``. State is kept for each
    thread.

    Args:
        archive: Where the originals are kept, with the gists; in memory if not given.
        conversation: The one that is meant where no thread is named.
        **settings: As in ``compact_messages``.

    Example:
        >>> ContextEditingMiddleware(edits=[GistEdit(high_water=4_000)])  # doctest: +SKIP
    """

    def __init__(
        self, *, archive: Archive | None = None, conversation: str = "default", **settings: Unpack[MemoryOptions]
    ) -> None:
        self._views = Views(MemorySettings.from_options(settings), archive, conversation)

    def apply(self, messages: list[Any], *, count_tokens: Callable[[Sequence[BaseMessage]], int]) -> None:
        """Puts the view into the list.

        Args:
            messages: The messages of a call, without the system prompt; changed in place.
            count_tokens: Part of LangChain's interface; not used, the settings name a tokenizer.
        """
        del count_tokens
        messages[:] = self._views.view(messages, self._views.thread())
