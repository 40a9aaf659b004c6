"""Messages in the common format (role, content, tool_calls, tool_call_id) as turns."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any, cast

from gist_core.cli.chats import ChatFile, to_json
from gist_core.errors import InvalidInputError
from gist_core.memory.turns import ROLES, Role, ToolCall, Turn, with_id
from gist_core.tokens import TokenCounter

MEDIA_TOKENS = 1_000
_MEDIA = ("image", "audio", "video", "file", "document")
_TEXT = ("text", "input_text", "output_text")
# Parts that are calls or results: left out alone, they would orphan what they belong to.
_CALLS = ("tool_use", "tool_result", "function_call")
_OLDER = {"developer": "system", "function": "tool"}


def turns_of(chat: ChatFile, counter: TokenCounter) -> list[Turn]:
    """A turn for each message, named by its id or else by its position: ``turn-0``, ``turn-1``, ...

    An image, a recording or a file inside a message is taken for 1,000 tokens, any other part that is no text for
    those of its JSON. A call in the older form (``function_call``) has no id: it gets one here, and the next result
    without an id answers it.

    Raises:
        InvalidInputError: A message is none; the error names file, line and value.
    """
    turns: list[Turn] = []
    lines: dict[str, int] = {}
    called: str | None = None
    for position, message in enumerate(chat.messages):
        try:
            turn = with_id(_turn(message.value, position, called, counter), position)
            if turn.id in lines:
                raise InvalidInputError(
                    f"id is {_short(turn.id)}, as in line {lines[turn.id]}.",
                    hint="Give every message another id, or none.",
                )
        except InvalidInputError as error:
            raise InvalidInputError(f"{chat.name}, line {message.line}: {error.message}", hint=error.hint) from None
        lines[turn.id] = message.line
        called = turn.tool_calls[-1].id if message.value.get("function_call") else called
        turns.append(turn)
    return turns


def _turn(value: Any, position: int, called: str | None, counter: TokenCounter) -> Turn:
    if not isinstance(value, dict):
        raise InvalidInputError(f"{_short(value)} is no message.", hint='Give {"role": ..., "content": ...}.')
    if "role" not in value and "messages" in value:
        raise InvalidInputError("a whole conversation on one line.", hint="Give one conversation at a time.")
    role = _role(value.get("role"))
    content, opaque = _parts(value.get("content"))
    answers = _text(value, "tool_call_id")
    return Turn(
        role=role,
        content=content,
        id=_text(value, "id") or "",
        name=_text(value, "name"),
        tool_calls=_calls(value, position),
        tool_call_id=called if role == "tool" and answers is None else answers,
        pinned=_flag(value, "pinned"),
        opaque=tuple(block["type"] for block in opaque),
        opaque_tokens=sum(_cost(block, counter) for block in opaque),
        extra={"opaque": opaque} if opaque else {},
    )


def _role(role: Any) -> Role:
    known = [*ROLES, *_OLDER]
    if role not in known:
        raise InvalidInputError(f"role is {_short(role)}.", hint=f"Use one of {', '.join(map(repr, known))}.")
    return cast("Role", _OLDER.get(role, role))


def _text(value: Mapping[str, Any], key: str) -> str | None:
    found = value.get(key)
    if found is None or isinstance(found, str):
        return found
    raise InvalidInputError(f"{key} is {_short(found)}.", hint="Give a string.")


def _flag(value: Mapping[str, Any], key: str) -> bool:
    found = value.get(key) or False
    if isinstance(found, bool):
        return found
    raise InvalidInputError(f"{key} is {_short(found)}.", hint="Give true or false.")


def _parts(content: Any) -> tuple[str, list[Mapping[str, Any]]]:
    """The text of a content, and its parts that are none."""
    if content is None or isinstance(content, str):
        return content or "", []
    if not isinstance(content, list):
        raise InvalidInputError(f"content is {_short(content)}.", hint="Give a string, null or a list of parts.")
    texts: list[str] = []
    opaque: list[Mapping[str, Any]] = []
    for index, part in enumerate(content):
        block = {"type": "text", "text": part} if isinstance(part, str) else part
        kind = block.get("type") if isinstance(block, dict) else None
        if not isinstance(kind, str) or (kind in _TEXT and not isinstance(block.get("text"), str)):
            raise InvalidInputError(
                f"content[{index}] is {_short(part)}.", hint='Give parts such as {"type": "text", "text": ...}.'
            )
        if any(call in kind for call in _CALLS):
            raise InvalidInputError(
                f"content[{index}] is of type {_short(kind)}.",
                hint='Give calls in "tool_calls" and each result as a message of role "tool".',
            )
        texts += [block["text"]] if kind in _TEXT else []
        opaque += [] if kind in _TEXT else [block]
    return "\n".join(texts), opaque


def _cost(block: Mapping[str, Any], counter: TokenCounter) -> int:
    media = any(word in block["type"] for word in _MEDIA)
    return MEDIA_TOKENS if media else counter.count(to_json(block))


def _calls(value: Mapping[str, Any], position: int) -> tuple[ToolCall, ...]:
    found = value.get("tool_calls") or []
    if not isinstance(found, list):
        raise InvalidInputError(f"tool_calls is {_short(found)}.", hint="Give a list of calls.")
    calls = [_call(call, f"tool_calls[{index}]") for index, call in enumerate(found)]
    if value.get("function_call") is not None:
        calls.append(_call({"id": f"call-{position}", "function": value["function_call"]}, "function_call"))
    return tuple(calls)


def _call(call: Any, where: str) -> ToolCall:
    """A call as OpenAI writes it (``function`` holds name and arguments) or flat, with ``args`` or ``arguments``."""
    hint = 'Give {"id": ..., "function": {"name": ..., "arguments": ...}} or {"id": ..., "name": ..., "args": ...}.'
    inner = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(inner, dict):
        raise InvalidInputError(f"{where} is {_short(call)}.", hint=hint)
    for key, text in (("id", call.get("id")), ("name", inner.get("name"))):
        if not isinstance(text, str) or not text:
            raise InvalidInputError(f"{where}: {key} is {_short(text)}.", hint=hint)
    arguments = inner.get("arguments", inner.get("args", {}))
    return ToolCall(call["id"], inner["name"], arguments if isinstance(arguments, str) else to_json(arguments))


def _short(value: object) -> str:
    return reprlib.repr(value)


__all__ = ["MEDIA_TOKENS", "turns_of"]
