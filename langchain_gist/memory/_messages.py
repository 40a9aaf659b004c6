"""Messages to turns and back. Nothing given is changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
    messages_from_dict,
)

from gist_core.errors import InvalidInputError
from gist_core.memory.compaction import Compaction
from gist_core.memory.gist import Gist, gist_from_json, gist_to_json
from gist_core.memory.turns import Role, ToolCall, Turn
from langchain_gist.memory._content import read_content
from langchain_gist.memory._rest import read_rest, rest_of

GIST_KEY = "gist"
_TYPES = {"system": "system", "user": "human", "assistant": "ai", "tool": "tool"}
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "model": "assistant",
}


def to_turns(messages: Sequence[BaseMessage]) -> list[Turn]:
    """One turn per message, with the message's id.

    A ``ChatMessage`` of an unknown role becomes a user's turn with the role for a name; a ``FunctionMessage`` answers
    the ``function_call`` of its name; a user's message with blocks that are results of tools answers the first of their
    calls. ``additional_kwargs["pinned"]`` set to True pins a message.

    Raises:
        InvalidInputError: A message is none, or asks for another one's removal.
    """
    check_messages(messages)
    return [_to_turn(message) for message in messages]


def check_messages(messages: Sequence[BaseMessage]) -> None:
    """Checks that all are messages.

    Raises:
        InvalidInputError: One is none, or asks for another one's removal.
    """
    for message in messages:
        if not isinstance(message, BaseMessage) or isinstance(message, RemoveMessage):
            raise InvalidInputError(
                f"A {type(message).__name__} stands among the messages.",
                hint="Pass the messages of the conversation; let the graph's reducer apply removals first.",
            )


def from_compaction(messages: Sequence[BaseMessage], compaction: Compaction) -> list[BaseMessage]:
    """The view as messages: the caller's own objects, and a HumanMessage for each gist that is new.

    Args:
        messages: Those whose turns were compacted.
        compaction: What came of it.
    """
    gists = {gist.id: message for message in messages if (gist := _gist_of(message)) is not None}
    return [
        messages[origin] if origin is not None else gists.get(_name_of(turn)) or turn_to_message(turn)
        for turn, origin in zip(compaction.turns, compaction.origin, strict=True)
    ]


def turn_to_message(turn: Turn) -> BaseMessage:
    """The message of a turn, as an archive gives it.

    A message comes back equal to what it was, with the id its turn has; values that JSON cannot hold, bytes aside, come
    back as None.
    """
    if turn.gist is not None:
        return HumanMessage(content=turn.content, id=turn.id, additional_kwargs={GIST_KEY: gist_to_json(turn.gist)})
    kind, rest = read_rest(turn.extra)
    kind = kind or _TYPES[turn.role]
    data: dict[str, Any] = {"content": turn.content, "id": turn.id or None}
    if not kind.lower().startswith("chat"):  # there the turn's name may be the role
        data["name"] = turn.name
    if kind == "ai":
        data.update(_saved_calls(turn.tool_calls))
    elif kind == "tool":
        data["tool_call_id"] = turn.tool_call_id
    return messages_from_dict([{"type": kind, "data": {**data, **rest}}])[0]


def _to_turn(message: BaseMessage) -> Turn:
    gist = _gist_of(message)
    if gist is not None:
        return Turn(role="user", content=gist.text, id=message.id or gist.id, gist=gist)
    role = _role(message)
    content = read_content(message.content, calls=role == "assistant")
    if role == "user" and content.answers:
        role = "tool"
    calls, plain = _calls(message, content.calls)
    name = _name(message)
    left_out = {"id"} | (set() if isinstance(message, ChatMessage) else {"name"})
    left_out |= {"content"} if isinstance(message.content, str) else set()
    left_out |= {"tool_call_id"} if message.type == "tool" else set()
    left_out |= {"tool_calls"} if message.type == "ai" and plain else set()
    return Turn(
        role=role,
        content=content.text,
        id=message.id or "",
        name=name,
        tool_calls=calls,
        tool_call_id=content.answers[0] if content.answers else _answers(message),
        pinned=message.additional_kwargs.get("pinned") is True,
        opaque=content.opaque,
        opaque_tokens=content.opaque_tokens,
        extra=rest_of(message, left_out, _TYPES[role]),
    )


def _role(message: BaseMessage) -> Role:
    if isinstance(message, ChatMessage):
        return _ROLES.get(message.role.lower(), "user")
    for kind, role in ((SystemMessage, "system"), (AIMessage, "assistant")):
        if isinstance(message, kind):
            return _ROLES[role]
    return "tool" if isinstance(message, ToolMessage | FunctionMessage) else "user"


def _name(message: BaseMessage) -> str | None:
    """Who speaks; the role where it is none that a turn can have."""
    if isinstance(message, ChatMessage) and message.role.lower() not in _ROLES and message.name is None:
        return message.role
    return message.name


def _answers(message: BaseMessage) -> str | None:
    if isinstance(message, ToolMessage):
        return message.tool_call_id
    return _function_id(message.name) if isinstance(message, FunctionMessage) else None


def _calls(message: BaseMessage, blocks: Sequence[ToolCall]) -> tuple[tuple[ToolCall, ...], bool]:
    """All calls a message makes, wherever a provider put them, and whether ``tool_calls`` names every one."""
    if not isinstance(message, AIMessage):
        return (), True
    calls = [
        ToolCall(call["id"] or "", call["name"], json.dumps(call["args"], ensure_ascii=False, default=str))
        for call in message.tool_calls
    ]
    more = [ToolCall(call["id"] or "", call["name"] or "", call["args"] or "") for call in message.invalid_tool_calls]
    function = message.additional_kwargs.get("function_call")
    if isinstance(function, dict):
        name = str(function.get("name", ""))
        more.append(ToolCall(_function_id(name), name, str(function.get("arguments", ""))))
    named = {call.id for call in calls + more}
    more += [call for call in blocks if call.id not in named]
    return (*calls, *more), not more


def _function_id(name: str | None) -> str:
    """Function calls of old have no ids; the name tells which result answers which."""
    return f"function-{name}"


def _saved_calls(calls: Sequence[ToolCall]) -> dict[str, list[dict[str, object]]]:
    """``tool_calls`` for arguments that are a JSON object, ``invalid_tool_calls`` for others."""
    valid: list[dict[str, object]] = []
    invalid: list[dict[str, object]] = []
    for call in calls:
        args = _object(call.arguments)
        known = {"id": call.id or None, "name": call.name}
        if args is None:
            invalid.append({**known, "args": call.arguments, "error": None})
        else:
            valid.append({**known, "args": args})
    return {"tool_calls": valid, "invalid_tool_calls": invalid}


def _object(arguments: str) -> dict[str, object] | None:
    try:
        found = json.loads(arguments)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _gist_of(message: BaseMessage) -> Gist | None:
    """The gist that a message is; None where there is none under our key, which may be the user's own."""
    saved = message.additional_kwargs.get(GIST_KEY)
    if not isinstance(message, HumanMessage) or not isinstance(saved, dict):
        return None
    try:
        return gist_from_json(saved)
    except InvalidInputError:
        return None


def _name_of(turn: Turn) -> str:
    return turn.id if turn.gist is None else turn.gist.id
