"""What a message's content holds: text, calls of tools, their results, and parts that are no text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
        text: Its text; blocks of text, also in documents and in results of tools, are joined by a newline.
        calls: Calls of tools that stand in it as blocks.
        answers: Ids of the calls whose results stand in it as blocks.
        opaque: The types of all other blocks.
        opaque_tokens: What those are taken to cost: ``MEDIA_TOKENS`` for an image, a recording or a file, a token for
            every four bytes of anything else (reasoning, signatures, citations).
    """

    text: str
    calls: tuple[ToolCall, ...] = ()
    answers: tuple[str, ...] = ()
    opaque: tuple[str, ...] = ()
    opaque_tokens: int = 0


def read_content(content: str | Sequence[str | Mapping[str, Any]], *, calls: bool) -> Content:
    """Takes a content apart.

    Args:
        content: Text, or a list of texts and blocks.
        calls: Whether blocks may be calls, which an assistant's alone are; what answers them is in others' messages.
    """
    if isinstance(content, str):
        return Content(content)
    parts = [Content(block) if isinstance(block, str) else _part(block, calls=calls) for block in content]
    return Content(
        "\n".join(part.text for part in parts if part.text),
        tuple(call for part in parts for call in part.calls),
        tuple(answer for part in parts for answer in part.answers),
        tuple(kind for part in parts for kind in part.opaque),
        sum(part.opaque_tokens for part in parts),
    )


def _part(block: Mapping[str, Any], *, calls: bool) -> Content:
    """A block as a content of its own."""
    kind = _kind(block)
    if calls and kind in _CALLS:
        return Content("", (_call(block),))
    if not calls and kind == "tool_result":
        return replace(_inner(block.get("content")), answers=(str(block.get("tool_use_id") or ""),))
    return _text(kind, block) or Content("", opaque=(kind,), opaque_tokens=_tokens(kind, block))


def _text(kind: str, block: Mapping[str, Any]) -> Content | None:
    """A block that is text, or a document that is given as text; None for any other."""
    source = block.get("source")
    if kind == "document" and isinstance(source, Mapping) and source.get("type") in ("text", "content"):
        return _inner(source.get("data" if source["type"] == "text" else "content"))
    is_text = kind in ("text", "text-plain") or block.get("source_type") == "text"
    return Content(block["text"]) if is_text and isinstance(block.get("text"), str) else None


def _inner(content: Any) -> Content:
    """What is inside a block: text, or blocks."""
    return read_content(content, calls=False) if isinstance(content, str | list) else Content("")


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
