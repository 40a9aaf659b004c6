"""A message as JSON that an archive keeps, for what a turn alone does not tell."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from llama_index.core.base.llms.types import ChatMessage
from pydantic import AnyUrl, BaseModel

_BYTES_KEY = "__bytes__"


def save_message(message: ChatMessage) -> dict[str, Any]:
    """A message as JSON data. Bytes survive; objects of a provider become plain data, what JSON cannot hold null."""
    data = {
        "role": message.role.value,
        "blocks": [block.model_dump() for block in message.blocks],
        "additional_kwargs": {key: _json(value) for key, value in message.additional_kwargs.items()},
    }
    saved: dict[str, Any] = json.loads(json.dumps(data, default=_plain, skipkeys=True))
    return saved


def load_message(saved: Mapping[str, Any]) -> ChatMessage:
    """The message that ``save_message`` wrote."""
    data = json.loads(json.dumps(saved), object_hook=_restored)
    message = ChatMessage(role=data["role"], blocks=data["blocks"])
    message.additional_kwargs = data["additional_kwargs"]  # given to the constructor, "images" would be added again
    return message


def _json(value: object) -> object:
    """JSON data; None where it cannot be had, as of an object that holds itself."""
    try:
        return json.loads(json.dumps(value, default=_plain, skipkeys=True))
    except (TypeError, ValueError, RecursionError):
        return None


def _plain(value: object) -> object:
    if isinstance(value, bytes | bytearray):
        return {_BYTES_KEY: base64.b64encode(value).decode("ascii")}
    if isinstance(value, BaseModel):
        return value.model_dump()
    return str(value) if isinstance(value, PurePath | AnyUrl) else None


def _restored(value: dict[str, Any]) -> Any:
    return base64.b64decode(value[_BYTES_KEY]) if value.keys() == {_BYTES_KEY} else value
