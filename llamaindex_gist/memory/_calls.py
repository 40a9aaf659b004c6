"""Calls of tools, wherever an LLM's integration puts them in a message."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock

from gist_core.memory.turns import ToolCall

_IDS = ("id", "tool_id", "tool_call_id", "call_id", "toolUseId")
_NAMES = ("name", "tool_name")
_ARGUMENTS = ("arguments", "tool_kwargs", "input", "args")


def calls_of(message: ChatMessage) -> tuple[ToolCall, ...]:
    """All calls a message makes: its blocks, ``additional_kwargs["tool_calls"]`` and ``"function_call"``.

    A call that stands in several of these is one; calls of one id in the same of them are several: some providers give
    the tool's name for an id.
    """
    found: list[ToolCall] = []
    for source in (_blocks, _tool_calls, _function_call):
        told = Counter(call.id for call in found)
        for call in source(message):
            if told[call.id]:
                told[call.id] -= 1
            else:
                found.append(call)
    return tuple(found)


def block_of(call: ToolCall) -> ToolCallBlock:
    """A call as a block."""
    try:
        arguments = json.loads(call.arguments)
    except ValueError:
        arguments = None
    kwargs = arguments if isinstance(arguments, dict) else call.arguments
    return ToolCallBlock(tool_call_id=call.id, tool_name=call.name, tool_kwargs=kwargs)


def function_id(name: object) -> str:
    """Function calls of old have no ids; the name tells which result answers which."""
    return f"function-{name}"


def _blocks(message: ChatMessage) -> Iterator[ToolCall]:
    for block in message.blocks:
        if isinstance(block, ToolCallBlock):
            yield ToolCall(block.tool_call_id or block.tool_name, block.tool_name, _text(block.tool_kwargs))


def _tool_calls(message: ChatMessage) -> Iterator[ToolCall]:
    calls = message.additional_kwargs.get("tool_calls")
    return map(_call, calls if isinstance(calls, list | tuple) else ())


def _function_call(message: ChatMessage) -> Iterator[ToolCall]:
    function = message.additional_kwargs.get("function_call")
    if function:
        name = _first(function, _NAMES)
        yield ToolCall(function_id(name), str(name), _text(_first(function, _ARGUMENTS)))


def _call(call: object) -> ToolCall:
    """A call of any provider's shape: a mapping or an object, perhaps with name and arguments in its ``function``."""
    inner = _first(call, ("function",)) or call
    name = str(_first(inner, _NAMES) or "")
    return ToolCall(str(_first(call, _IDS) or name), name, _text(_first(inner, _ARGUMENTS)))


def _first(source: object, names: tuple[str, ...]) -> Any:
    """The first of these keys or attributes that is there."""
    for name in names:
        value = source.get(name) if isinstance(source, Mapping) else getattr(source, name, None)
        if value is not None:
            return value
    return None


def _text(arguments: object) -> str:
    """Arguments as the text they are, else as JSON."""
    if isinstance(arguments, str):
        return arguments
    return json.dumps({} if arguments is None else arguments, ensure_ascii=False, default=str)
