"""Memories that live in this process, for dumps of them that come back to it.

A workflow writes its context as JSON after each run and reads it again before the next one. What it reads has to be the
memory that the caller still holds, with its archive and its model, and not a second one that goes its own way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

from gist_core.memory.conversations import Conversations

HANDLE_KEY = "handle"


class Live:
    """What all handles to a memory share.

    Args:
        fields: The values of its fields.
        conversations: Its state.
    """

    def __init__(self, fields: Mapping[str, Any], conversations: Conversations) -> None:
        self.fields = dict(fields)
        self.conversations = conversations
        self.handle = str(uuid4())
        self._settings = ""
        _LIVE[self.handle] = self

    def dump(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings as they are dumped, with a handle."""
        self._settings = _text(settings)
        return {**settings, HANDLE_KEY: self.handle}

    @staticmethod
    def of(handle: object, settings: Mapping[str, Any]) -> Live | None:
        """The memory that was dumped under a handle with just these settings, if it still lives here."""
        live = _LIVE.get(str(handle))
        return live if live is not None and live._settings == _text(settings) else None


_LIVE: WeakValueDictionary[str, Live] = WeakValueDictionary()


def _text(settings: Mapping[str, Any]) -> str:
    """Equal for settings that are equal as JSON; an object that JSON does not know equals no text."""
    return json.dumps(settings, sort_keys=True, default=repr)
