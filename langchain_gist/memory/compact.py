"""compact_messages: in the style of LangChain's trim_messages, but nothing is lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack, overload

from langchain_core.messages import BaseMessage, MessageLikeRepresentation, convert_to_messages
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda

from gist_core.memory.archive import Archive
from gist_core.settings import MemoryOptions, MemorySettings
from langchain_gist.memory._views import DEFAULT_CONVERSATION, Views, thread_of

Messages = Sequence[MessageLikeRepresentation] | PromptValue


@overload
def compact_messages(
    messages: None = None,
    *,
    conversation: str | None = ...,
    archive: Archive | None = ...,
    **settings: Unpack[MemoryOptions],
) -> Runnable[Any, list[BaseMessage]]: ...


@overload
def compact_messages(
    messages: Messages,
    *,
    conversation: str | None = ...,
    archive: Archive | None = ...,
    **settings: Unpack[MemoryOptions],
) -> list[BaseMessage]: ...


def compact_messages(
    messages: Messages | None = None,
    *,
    conversation: str | None = None,
    archive: Archive | None = None,
    **settings: Unpack[MemoryOptions],
) -> list[BaseMessage] | Runnable[Any, list[BaseMessage]]:
    """Keeps messages below a number of tokens: old ones become gists, quotations of what matters in them.

    System messages, messages with ``additional_kwargs["pinned"]`` set to True and the last ones stay, as the very
    objects given; calls of tools and their results stay together. A gist is a HumanMessage; what it stands for is in
    its ``additional_kwargs["gist"]``. Nothing given is changed.

    Without messages this returns a Runnable over messages. It keeps a conversation for each
    ``config["configurable"]["thread_id"]`` and remembers the gists it has made there, so that a prompt's beginning
    stays what it was. Without a thread, an archive and a name, it remembers nothing from one call to the next.

    Args:
        messages: The whole conversation.
        conversation: What it is called, where no thread is named: all such calls are then about this one.
        archive: Where the originals are kept, with the gists; in memory if not given.
        **settings: The fields of ``gist_core.settings.MemorySettings``: ``model="default"``, ``high_water=8000``,
            ``low_water=None``, ``keep_last=6``, ``tokenizer="o200k_base"``, ``keep=()``, ``device="auto"``,
            ``on_error="original"``.

    Example:
        >>> chain = compact_messages(high_water=4_000) | chat_model  # doctest: +SKIP

    Raises:
        GistError: A setting or a message is unusable; or the model failed and ``on_error`` is ``"raise"``.
    """
    views = Views(MemorySettings.from_options(settings), archive, conversation or DEFAULT_CONVERSATION)
    named = conversation is not None or archive is not None
    if messages is not None:
        return views.view(convert_to_messages(messages), views.conversation)

    def place(config: RunnableConfig) -> str | None:
        return views.thread(config) if named or thread_of(config) is not None else None

    def invoke(given: Messages, config: RunnableConfig) -> list[BaseMessage]:
        return views.view(convert_to_messages(given), place(config))

    async def ainvoke(given: Messages, config: RunnableConfig) -> list[BaseMessage]:
        return await views.aview(convert_to_messages(given), place(config))

    return RunnableLambda(invoke, ainvoke, name="compact_messages")
