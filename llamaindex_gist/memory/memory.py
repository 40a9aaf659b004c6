"""GistMemory: a LlamaIndex memory for agents and chat engines."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack
from uuid import uuid4

from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.llm import LLM
from llama_index.core.memory.types import BaseMemory
from pydantic import Field, PrivateAttr, SerializationInfo, SerializerFunctionWrapHandler, model_serializer

from gist_core.budget import Budget
from gist_core.errors import InvalidInputError
from gist_core.memory.archive import Archive, from_ascii, to_ascii, turn_from_text, turn_to_text
from gist_core.memory.compactor import ConversationCompactor
from gist_core.memory.recall import Recall
from gist_core.memory.turns import Turn
from gist_core.settings import MemoryOptions, MemorySettings
from llamaindex_gist._fields import Whole
from llamaindex_gist.memory._live import HANDLE_KEY, Live
from llamaindex_gist.memory._messages import to_messages, to_turns, turn_to_message
from llamaindex_gist.memory._settings import SharedSettings, append, dispatcher

_SAVED_KEY = "conversation"
_NOT_SAVED: Mapping[str, Any] = {}


class GistMemory(SharedSettings, BaseMemory):
    """A conversation of any length in at most ``high_water`` tokens, with nothing lost.

    ``get`` gives what the LLM shall see: system messages, messages with ``additional_kwargs["pinned"]`` set to True
    and the last ones word for word, gists in the place of the others. A gist is a user's message that quotes what
    matters most in them, a ``GistMessage``; it stays byte for byte as it is until it has to give way. A call of a tool
    and its results stay together. ``get_all`` gives every message, ``recall`` what they say on a question. What an
    agent adds, its system prompt and its tools, comes on top of ``high_water``.

    Async methods work off the event loop. Copies share the conversation, and so does what is read from a dump while
    the memory lives in this process: workflows dump their context after each run. Elsewhere, or with other settings,
    the conversation comes from the dump; where an ``archive`` was given, from there, by its ``session_id``, and
    ``from_dict(data, archive=...)`` takes it again, as it does ``model`` and ``tokenizer`` where they are objects.

    Example:
        >>> memory = GistMemory.from_defaults(high_water=8_000)  # doctest: +SKIP
        >>> await agent.run("Hello", memory=memory)  # doctest: +SKIP

    Raises:
        GistError: A setting is unusable; the message says how to mend it.
        pydantic.ValidationError: A setting is unknown or of the wrong type.
    """

    session_id: str = Field(default_factory=lambda: str(uuid4()), description="The conversation's name in the archive.")
    high_water: Whole = Field(8_000, description="Tokens above which the conversation is compacted.")
    low_water: Whole | None = Field(None, description="Tokens it is compacted to; half of high_water if not given.")
    keep_last: Whole = Field(6, description="So many messages at the end stay word for word.")

    _live: Live = PrivateAttr()

    if not TYPE_CHECKING:  # type checkers read the fields; errors of the settings stay what they are: GistErrors

        def __init__(self, **data: Any) -> None:
            data.pop("class_name", None)  # LlamaIndex writes it into every dump
            saved = data.pop(_SAVED_KEY, _NOT_SAVED)
            live = Live.of(data.pop(HANDLE_KEY, None), data)
            super().__init__(**(live.fields if live else data))
            self._live = live or self._begin(saved)

    def _begin(self, saved: Mapping[str, Any] | None) -> Live:
        """State of its own, with what a dump holds of a conversation."""
        if saved is None and self.archive is None:
            raise InvalidInputError(
                "This memory kept its messages in an archive, which is not in the dump.",
                hint="Pass it again: from_dict(data, archive=...).",
            )
        conversations = MemorySettings.of(self).conversations(self.archive)
        if saved:
            turns = [turn_from_text(text) for text in saved["turns"]]
            view = saved["view"]
            conversations.archive.add(self.session_id, turns, None if view is None else from_ascii(view))
        conversations.of(self.session_id)  # a session without a name fails here
        return Live(self.__dict__, conversations)

    @classmethod
    def class_name(cls) -> str:
        """Name in serialized form."""
        return "GistMemory"

    @classmethod
    def from_defaults(  # type: ignore[override]
        cls,
        chat_history: Sequence[ChatMessage] | None = None,
        session_id: str | None = None,
        archive: Archive | None = None,
        *,
        llm: LLM | None = None,
        token_limit: int | None = None,
        **settings: Unpack[MemoryOptions],
    ) -> GistMemory:
        """A memory. Chat engines call this too: ``SimpleChatEngine.from_defaults(memory_cls=GistMemory)``.

        Args:
            chat_history: Its messages, as ``set`` takes them.
            session_id: The conversation's name in the archive; a new one if not given.
            archive: Where originals are kept: ``SqlArchive("chats.db")`` outlives the process.
            llm: Part of LlamaIndex's interface; not used.
            token_limit: What other memories call ``high_water``, which goes before it.
            **settings: The fields of ``gist_core.settings.MemorySettings``: ``model="default"``,
                ``high_water=8000``, ``low_water=None``, ``keep_last=6``, ``tokenizer="o200k_base"``, ``keep=()``,
                ``device="auto"``, ``on_error="original"``.
        """
        del llm
        if token_limit is not None:
            settings.setdefault("high_water", token_limit)
        memory = cls(archive=archive, **({"session_id": session_id} if session_id else {}), **settings)
        if chat_history is not None:
            memory.set(list(chat_history))
        return memory

    def get(self, input: str | None = None, **_: Any) -> list[ChatMessage]:  # noqa: A002  # the name is LlamaIndex's
        """What the LLM shall see.

        Args:
            input: Not used: gists that changed with the question would cost the provider's prompt cache.
        """
        return to_messages(self._session().view().turns)

    def get_all(self) -> list[ChatMessage]:
        """Every message, word for word."""
        return [turn_to_message(turn) for turn in self._originals()]

    def put(self, message: ChatMessage) -> None:
        """Adds a message."""
        self.put_messages([message])

    @dispatcher.span
    def put_messages(self, messages: list[ChatMessage]) -> None:
        """Adds messages; calls of tools and their results best come together.

        Raises:
            GistError: A message is none; or the model failed and ``on_error`` is ``"raise"``.
        """
        append(self._session(), to_turns(messages))

    @dispatcher.span
    def set(self, messages: list[ChatMessage]) -> None:
        """Makes these messages the conversation.

        Where they begin with what ``get`` or ``get_all`` gives, the rest is added. Else the old conversation is
        forgotten; gists of it among the messages stand for their originals.
        """
        turns = to_turns(messages)
        for held in (self._session().view().turns, self._originals()):
            if _begins_with(turns, held):
                append(self._session(), [t for turn in turns[len(held) :] for t in self._without_gist(turn)])
                return
        turns = [t for turn in turns for t in self._without_gist(turn)]
        self.reset()
        append(self._session(), turns)

    def reset(self) -> None:
        """Forgets the conversation, in the archive too."""
        self._live.conversations.forget(self.session_id)

    @dispatcher.span
    def recall(self, query: str, tokens: int = 1_000) -> Recall:
        """What the messages that ``get`` gives no more say on a question.

        Args:
            query: The question.
            tokens: Most tokens of the answer.

        Raises:
            GistError: The question is empty, or the model failed.
        """
        return self._session().recall(query, Budget(tokens=tokens, tokenizer=self.tokenizer))

    async def arecall(self, query: str, tokens: int = 1_000) -> Recall:
        """As ``recall``, off the event loop."""
        return await asyncio.to_thread(self.recall, query, tokens)

    def _session(self) -> ConversationCompactor:
        return self._live.conversations.of(self.session_id)

    def _originals(self) -> list[Turn]:
        return self._live.conversations.archive.turns(self.session_id)

    def _without_gist(self, turn: Turn) -> list[Turn]:
        """A gist's originals; the text of one that comes from another conversation."""
        if turn.gist is None:
            return [turn]
        try:
            originals = self._live.conversations.archive.get(self.session_id, turn.gist.turns)
        except InvalidInputError:
            return [Turn("user", turn.content)]
        return to_turns(map(turn_to_message, originals))  # their places in the conversation, and ids, may be others now

    def _saved(self) -> dict[str, Any] | None:
        """The conversation as JSON data, unless a given archive has it."""
        if self.archive is not None:
            return None
        view = self._live.conversations.archive.saved_view(self.session_id)
        turns = [turn_to_text(turn) for turn in self._originals()]
        return {"turns": turns, "view": None if view is None else to_ascii(view)}

    @model_serializer(mode="wrap")
    def custom_model_dump(self, handler: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        """The settings; the conversation too where no archive was given."""
        return {**self._live.dump(handler(self)), _SAVED_KEY: self._saved(), "class_name": self.class_name()}

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), {**self.__dict__, _SAVED_KEY: self._saved()})


def _restore(cls: type[GistMemory], data: dict[str, Any]) -> GistMemory:
    return cls(**data)


def _begins_with(turns: Sequence[Turn], held: Sequence[Turn]) -> bool:
    return len(turns) >= len(held) and all(map(_same, held, turns))


def _same(one: Turn, other: Turn) -> bool:
    if one.gist or other.gist:
        return one.gist is not None and other.gist is not None and one.gist.id == other.gist.id
    return one.pinned == other.pinned and one.digest == other.digest
