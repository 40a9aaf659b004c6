"""What a tool returns, shortened before it enters an agent's history; the original goes into the archive."""

from __future__ import annotations

import logging
from dataclasses import replace

from langchain_core.messages import ToolMessage

from gist_core.errors import InvalidInputError
from gist_core.fallback import WRONG_SETTINGS, tell
from gist_core.memory.tool_output import shorten_result
from gist_core.tokens import token_counter
from langchain_gist.memory._content import read_content
from langchain_gist.memory._messages import to_turns
from langchain_gist.memory._views import Views

ORIGINAL_KEY = "gist_original"

logger = logging.getLogger(__name__)


class ResultShortener:
    """Shortens tools' messages.

    Args:
        tokens: Most tokens of a result.
        views: Their settings, model and archive are used.

    Raises:
        InvalidInputError: ``tokens`` is no whole number above 0.
    """

    def __init__(self, tokens: int, views: Views) -> None:
        if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
            raise InvalidInputError(f"tool_output_tokens is {tokens!r}.", hint="Pass a whole number above 0, or None.")
        self._tokens = tokens
        self._settings = views.settings
        self._compressor = views.settings.compressor()
        self._counter = token_counter(views.settings.tokenizer)
        self._archive = views.conversations.archive

    def __call__(self, message: ToolMessage, query: str | None, conversation: str) -> ToolMessage:
        """The message itself if it fits or is not text alone, else a copy that is shorter and names its original.

        Args:
            message: What a tool returned; not changed.
            query: What the user wants to know.
            conversation: The one it belongs to; the original is archived beside it.

        Raises:
            Exception: The model or the archive failed, and the settings say ``on_error="raise"``; or those are wrong.
        """
        content = read_content(message.content, calls=False)
        if content.opaque:
            return message
        try:
            return self._shortened(message, content.text, query, f"{conversation}/tool-results")
        except Exception as error:
            if self._settings.on_error == "raise" or isinstance(error, WRONG_SETTINGS):
                raise
            said = f"A result of the tool {message.name!r} stays as it was: {type(error).__name__}: {error}"
            tell(logger, said, error)
            return message

    def _shortened(self, message: ToolMessage, text: str, query: str | None, place: str) -> ToolMessage:
        short = shorten_result(text, self._tokens, self._counter, self._compressor, query)
        if short == text:
            return message
        turn = to_turns([message])[0]
        name = f"{message.tool_call_id}-{turn.digest[:12]}"  # not every provider's ids of calls are unique
        self._archive.add(place, [replace(turn, id=name)])
        noted = {**message.additional_kwargs, ORIGINAL_KEY: {"conversation": place, "id": name}}
        content = short if isinstance(message.content, str) else [{"type": "text", "text": short}]
        return message.model_copy(update={"content": content, "additional_kwargs": noted})
