"""Chat files: JSON lines, a JSON array, or an object with ``messages``. Each message keeps the text it has there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from gist_core.cli.inputs import STDIN, read_passages
from gist_core.errors import InvalidInputError

_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\r\n]*")
# Readers that split at any Unicode line break, and UTF-8 itself, cannot hold these; JSON can, escaped.
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SHAPES = 'Give one message a line, one JSON array, or an object with "messages".'


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a file.

    Args:
        text: Its JSON, as it stands in the file.
        value: What that says.
        line: The line it begins at, from 1.
    """

    text: str
    value: Any
    line: int


@dataclass(frozen=True, slots=True)
class ChatFile:
    """A file of messages, and what stands around them.

    Args:
        name: The file's name for error messages.
        messages: The messages in their order.
        head: What stands before the first message.
        between: What stands between two messages.
        tail: What stands after the last message.
    """

    name: str
    messages: tuple[Message, ...]
    head: str = ""
    between: str = "\n"
    tail: str = ""

    def written(self, messages: Iterable[str]) -> str:
        """A file of the same shape with other messages, each given as JSON."""
        return f"{self.head}{self.between.join(messages)}{self.tail}"


def read_chat(file: str | None) -> ChatFile:
    """Reads a file; ``-`` or None is standard input. A blank one is a conversation without messages.

    Raises:
        InvalidInputError: It cannot be read, or is not JSON of a shape known here; the message names file and line.
    """
    (source,) = read_passages([] if file is None else [file])
    name = "Standard input" if source.id == STDIN else source.id
    text, start = source.text, _after_blank(source.text, 0)
    if start == len(text):
        return ChatFile(name, ())
    value, end = _decode(name, text, start)
    if _after_blank(text, end) == len(text):
        if isinstance(value, list):
            return _array(name, text, start)
        if isinstance(value, dict) and isinstance(value.get("messages"), list):
            return _array(name, text, _member(text, start, "messages"))
    return ChatFile(name, tuple(_lines(name, text)))


def to_json(value: object) -> str:
    """JSON on one line, readable, with what a line or UTF-8 cannot hold escaped."""
    plain = json.dumps(value, ensure_ascii=False)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", plain)


def _lines(name: str, text: str) -> Iterator[Message]:
    at = 0
    for number, line in enumerate(text.split("\n"), 1):
        start, stripped = _after_blank(text, at), line.strip(" \t\r")
        at += len(line) + 1
        if not stripped:
            continue
        value, end = _decode(name, text, start)
        if end != start + len(stripped):
            raise InvalidInputError(f"{name}, line {number}: not one JSON value on one line.", hint=_SHAPES)
        yield Message(stripped, value, number)


def _array(name: str, text: str, start: int) -> ChatFile:
    """The array that begins at ``start`` in a text that is valid JSON."""
    messages: list[Message] = []
    gaps: list[str] = []
    at = first = _after_blank(text, start + 1)
    line, counted = 1, 0
    while text[at] != "]":
        value, end = _DECODER.raw_decode(text, at)
        line, counted = line + text.count("\n", counted, at), at
        messages.append(Message(text[at:end], value, line))
        at = _after_blank(text, end)
        if text[at] == ",":
            at = _after_blank(text, at + 1)
            gaps.append(text[end:at])
    last = end if messages else at
    return ChatFile(name, tuple(messages), text[:first], gaps[0] if gaps else ",\n", text[last:])


def _member(text: str, start: int, name: str) -> int:
    """Where the value of a member begins in the object at ``start``; the last one counts, as in ``json``."""
    found, at = start, _after_blank(text, start + 1)
    while text[at] != "}":
        key, at = _DECODER.raw_decode(text, at)
        at = _after_blank(text, _after_blank(text, at) + 1)
        if key == name:
            found = at
        at = _after_blank(text, _DECODER.raw_decode(text, at)[1])
        if text[at] == ",":
            at = _after_blank(text, at + 1)
    return found


def _after_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _decode(name: str, text: str, at: int) -> tuple[Any, int]:
    """One JSON value and where it ends."""
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        where, why = f"line {error.lineno}, column {error.colno}", error.msg
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, a thousand nested arrays
        where, why = f"line {text.count(chr(10), 0, at) + 1}", str(error)
    raise InvalidInputError(f"{name}, {where}: not JSON ({why}).", hint=_SHAPES)


__all__ = ["ChatFile", "Message", "read_chat", "to_json"]
