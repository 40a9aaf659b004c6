"""What a message holds beyond its turn: JSON that an archive keeps, and the message's fields again."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import TypeAdapter

REST_KEY = "langchain"
_BYTES_KEY = "__bytes__"
_ARTIFACT = "artifact"
_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)


def rest_of(message: BaseMessage, left_out: set[str], expected: str) -> dict[str, Any]:
    """Fields that are not at their defaults, and the message's type where it is not the expected one.

    Args:
        message: Any message.
        left_out: Fields that the turn itself holds.
        expected: The type that the turn's role tells.
    """
    data = message.model_dump(exclude=left_out | {"type", _ARTIFACT}, exclude_defaults=True, warnings=False)
    artifact = _json(getattr(message, _ARTIFACT, None))
    if artifact is not None:
        data[_ARTIFACT] = artifact
    if not data and message.type == expected:
        return {}
    return {REST_KEY: {"type": message.type, "data": json.loads(json.dumps(data, default=_odd, skipkeys=True))}}


def read_rest(extra: Mapping[str, Any]) -> tuple[str | None, dict[str, Any]]:
    """The type and the fields that ``rest_of`` kept."""
    saved = extra.get(REST_KEY)
    if not saved:
        return None, {}
    return saved["type"], json.loads(json.dumps(saved["data"]), object_hook=_restored)


def _json(value: object) -> object:
    """JSON data; None where it cannot be had. A tool's artifact may be anything: an array that knows no single ``==``,
    an object that holds itself.
    """
    try:
        return json.loads(json.dumps(_ANYTHING.dump_python(value, warnings=False), default=_odd, skipkeys=True))
    except (TypeError, ValueError, RecursionError):
        return None


def _odd(value: object) -> object:
    if isinstance(value, bytes | bytearray):
        return {_BYTES_KEY: base64.b64encode(value).decode("ascii")}
    return None


def _restored(value: dict[str, Any]) -> Any:
    return base64.b64decode(value[_BYTES_KEY]) if value.keys() == {_BYTES_KEY} else value
