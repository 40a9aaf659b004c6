"""What a message's content holds: text, calls of tools, and parts that are no text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gist_core.memory.turns import ToolCall

MEDIA_TOKENS = 1_000  # what one image, recording or file is taken to cost; providers differ, and say so only afterwards
_BYTES_PER_TOKEN = 4
_MEDIA = ("image", "audio", "video", "file", "document", "media")
_CALLS = ("tool_use", "tool_call", "function_call", "invalid_tool_call")


@dataclass(frozen=True, slots=True)
class Content:
    """A message's content, taken apart.

    Args:
        text: Its text; blocks of text are joined by a newline.
        calls: Calls of tools that stand in it as blocks.
        opaque: The types of all other blocks.
        opaque_tokens: What those are taken to cost: ``MEDIA_TOKENS`` for an image, a recording or a file, a token for
            every four bytes of anything else (reasoning, signatures, citations).
    """

    text: str
    calls: tuple[ToolCall, ...] = ()
    opaque: tuple[str, ...] = ()
    opaque_tokens: int = 0


def read_content(content: str | Sequence[str | Mapping[str, Any]], *, calls: bool) -> Content:
    """Takes a content apart.

    Args:
        content: Text, or a list of texts and blocks.
        calls: Whether blocks may be calls, which an assistant's alone are.
    """
    if isinstance(content, str):
        return Content(content)
    texts: list[str] = []
    made: list[ToolCall] = []
    opaque: list[tuple[str, int]] = []
    for block in content:
        kind = "text" if isinstance(block, str) else _kind(block)
        if isinstance(block, str):
            texts.append(block)
        elif kind == "text" and isinstance(block.get("text"), str):
            texts.append(block["text"])
        elif calls and kind in _CALLS:
            made.append(_call(block))
        else:
            opaque.append((kind, _tokens(kind, block)))
    names = tuple(kind for kind, _ in opaque)
    return Content("\n".join(texts), tuple(made), names, sum(tokens for _, tokens in opaque))


def _kind(block: Mapping[str, Any]) -> str:
    """A block's type; some providers name it by a key instead."""
    kind = block.get("type") or next(iter(block), "unknown")
    return str(kind)


def _call(block: Mapping[str, Any]) -> ToolCall:
    arguments: Any = next((block[key] for key in ("args", "input", "arguments") if key in block), {})
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, default=str)
    return ToolCall(str(block.get("call_id") or block.get("id") or ""), str(block.get("name", "")), text)


def _tokens(kind: str, block: Mapping[str, Any]) -> int:
    if any(word in kind for word in _MEDIA):
        return MEDIA_TOKENS
    return -(-len(json.dumps(block, default=str).encode("utf-8")) // _BYTES_PER_TOKEN)
