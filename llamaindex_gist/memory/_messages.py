"""Messages to turns and back. Nothing given is changed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from llama_index.core.base.llms.types import (
    AudioBlock,
    BaseContentBlock,
    CachePoint,
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from gist_core.errors import InvalidInputError
from gist_core.memory.turns import Role, Turn
from llamaindex_gist.memory._calls import block_of, calls_of, function_id
from llamaindex_gist.memory._saved import load_message, save_message
from llamaindex_gist.memory.quotations import GistMessage

WHOLE_KEY = "llamaindex"  # in a turn's extra: the message, where the turn does not tell all of it
INSTEAD_KEY = "llamaindex_original"  # the message, where the turn stands for it in another role
_ROLES: dict[MessageRole, Role] = {
    MessageRole.SYSTEM: "system",
    MessageRole.DEVELOPER: "system",
    MessageRole.USER: "user",
    MessageRole.ASSISTANT: "assistant",
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.TOOL: "tool",
    MessageRole.FUNCTION: "tool",
}
_MEDIA = ((ImageBlock, 256), (AudioBlock, 256), (VideoBlock, 256), (DocumentBlock, 2_048))
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class MessageTurn(Turn):
    """A turn that remembers the caller's message, with whatever objects a provider put into it."""

    message: ChatMessage | None = field(default=None, compare=False, repr=False)


def to_turns(messages: Iterable[ChatMessage]) -> list[Turn]:
    """One turn per message.

    ``additional_kwargs["pinned"]`` set to True pins a message; ``additional_kwargs["id"]`` names it, where it is a
    string. A copy of the message goes with its turn: what becomes of the caller's does not touch it.

    Raises:
        InvalidInputError: A message is none.
    """
    return [_to_turn(message) for message in messages]


def to_messages(turns: Iterable[Turn]) -> list[ChatMessage]:
    """The messages of a view; all are new objects, for agents write into what a memory gives them."""
    return [_seen(turn) for turn in turns]


def turn_to_message(turn: Turn) -> ChatMessage:
    """The message of a turn, as an archive gives it.

    Equal to what it was; objects that a provider put into ``additional_kwargs`` come back as plain data.
    """
    original = turn.extra.get(INSTEAD_KEY)
    return load_message(original) if original else _seen(turn)


def stand_in(turn: Turn, content: str) -> Turn:
    """A user's turn in the place of another one, whose message ``turn_to_message`` still gives."""
    saved = turn.extra.get(WHOLE_KEY) or save_message(_seen(turn))
    return Turn("user", content, id=turn.id, pinned=turn.pinned, extra={INSTEAD_KEY: saved})


def copy_message(message: ChatMessage) -> ChatMessage:
    """A copy that shares nothing which can be written to, the insides of ``additional_kwargs`` aside."""
    blocks = [block.model_copy() for block in message.blocks]
    return message.model_copy(update={"blocks": blocks, "additional_kwargs": dict(message.additional_kwargs)})


def media_tokens(block: BaseContentBlock) -> int:
    """What LlamaIndex's Memory takes an image, a recording or a document to cost; 0 for any other block."""
    return next((tokens for kind, tokens in _MEDIA if isinstance(block, kind)), 0)


def _to_turn(message: ChatMessage) -> Turn:
    if not isinstance(message, ChatMessage):
        raise InvalidInputError(
            f"A {type(message).__name__} stands among the messages.", hint="Pass ChatMessage(role=..., content=...)."
        )
    if isinstance(message, GistMessage):
        return Turn("user", message.gist.text, id=message.gist.id, gist=message.gist)
    kwargs = message.additional_kwargs
    role = _ROLES[message.role]
    opaque = [block for block in message.blocks if not isinstance(block, TextBlock | ToolCallBlock | CachePoint)]
    turn = MessageTurn(
        role=role,
        content=message.content or "",
        id=kwargs["id"] if isinstance(kwargs.get("id"), str) else "",
        name=kwargs["name"] if role == "tool" and isinstance(kwargs.get("name"), str) else None,
        tool_calls=calls_of(message) if role == "assistant" else (),
        tool_call_id=_answers(message) if role == "tool" else None,
        pinned=kwargs.get("pinned") is True,
        opaque=tuple(block.block_type for block in opaque),
        opaque_tokens=sum(map(_tokens, opaque)),
        message=copy_message(message),
    )
    return turn if _plain(turn) == message else replace(turn, extra={WHOLE_KEY: save_message(message)})


def _answers(message: ChatMessage) -> str | None:
    answered = message.additional_kwargs.get("tool_call_id")
    if answered is None and message.role == MessageRole.FUNCTION:
        return function_id(message.additional_kwargs.get("name"))
    return None if answered is None else str(answered)


def _tokens(block: BaseContentBlock) -> int:
    """What a block that is no text is taken to cost: by its kind, else by what the LLM said, else by its size."""
    if media := media_tokens(block):
        return media
    if isinstance(block, ThinkingBlock) and block.num_tokens:
        return block.num_tokens
    return -(-len(json.dumps(block.model_dump(), default=str).encode()) // _BYTES_PER_TOKEN)


def _seen(turn: Turn) -> ChatMessage:
    """The message of a turn of the view."""
    if turn.gist is not None:
        return GistMessage.of(turn.gist)
    if isinstance(turn, MessageTurn) and turn.message is not None:
        return copy_message(turn.message)
    whole = turn.extra.get(WHOLE_KEY)
    return load_message(whole) if whole else _plain(turn)


def _plain(turn: Turn) -> ChatMessage:
    """The message that has nothing but what the turn's own fields tell."""
    kwargs = {"tool_call_id": turn.tool_call_id, "name": turn.name} if turn.role == "tool" else {}
    text = [TextBlock(text=turn.content)] if turn.content else []
    return ChatMessage(
        role=turn.role,
        blocks=[*text, *map(block_of, turn.tool_calls)],
        additional_kwargs={key: value for key, value in kwargs.items() if value is not None},
    )
