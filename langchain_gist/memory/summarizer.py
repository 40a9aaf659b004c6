"""gist_summarizer: the text that LangChain's SummarizationMiddleware puts in the place of old messages."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage
from langchain_core.runnables import Runnable, RunnableLambda

from gist_core.compressor import TextCompressor
from gist_core.fallback import OnError
from gist_core.memory.summary import Summarizer
from gist_core.memory.turns import Turn
from gist_core.settings import CompressionSettings
from langchain_gist.memory._messages import to_turns

_REMEMBERED = 1_024


def gist_summarizer(
    tokens: int = 1_000,
    *,
    model: str | os.PathLike[str] | TextCompressor = "default",
    tokenizer: Any = "o200k_base",
    keep: Sequence[str | re.Pattern[str]] = (),
    device: str = "auto",
    on_error: OnError = "truncate",
) -> Runnable[list[BaseMessage], str]:
    """Writes the summary for SummarizationMiddleware without a chat model: quotations of what matters.

    Pass ``trim_tokens_to_summarize=None`` to the middleware: its default shows a summarizer only the last 4,000 tokens
    or so, and the rest is lost. The middleware replaces the agent's messages; GistMiddleware keeps them. A summary of
    this runnable's own is recognised when it comes back and its quotations are chosen from again, not quoted twice.

    Args:
        tokens: Most tokens of the summary.
        model: ``"default"``, a local folder, a hub id, or a TextCompressor to share.
        tokenizer: What counts the tokens: an encoding or model name, a HF tokenizer, or a ``str -> int``.
        keep: Regular expressions; what they match goes into the summary first.
        device: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:1"``.
        on_error: Answer to a failure of the model: ``"truncate"`` or ``"original"`` for a summary of the same size
            chosen without it, with a GistWarning; or ``"raise"``.

    Example:
        >>> SummarizationMiddleware(  # doctest: +SKIP
        ...     model=chat_model, summarizer=gist_summarizer(1_000), trim_tokens_to_summarize=None,
        ...     trigger=("tokens", 8_000), keep=("messages", 6),
        ... )

    Raises:
        GistError: A setting is unusable.
    """
    settings = CompressionSettings(model=model, tokenizer=tokenizer, keep=keep, device=device, on_error=on_error)
    summarizer = Summarizer(tokens, settings.build(), tokenizer=settings.tokenizer, keep=settings.keep)
    written = _Written()

    def invoke(messages: list[BaseMessage]) -> str:
        turn = summarizer([written.turn(message) for message in messages])
        written.add(turn)
        return turn.content

    async def ainvoke(messages: list[BaseMessage]) -> str:
        return await asyncio.to_thread(invoke, messages)

    return RunnableLambda(invoke, ainvoke, name="gist_summarizer")


class _Written:
    """The summaries written so far, by their text, which is all that the middleware keeps of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: OrderedDict[str, Turn] = OrderedDict()

    def add(self, turn: Turn) -> None:
        with self._lock:
            self._turns[turn.content] = turn
            if len(self._turns) > _REMEMBERED:
                self._turns.popitem(last=False)

    def turn(self, message: BaseMessage) -> Turn:
        """The gist that a message of the middleware's holds behind its first line, or the message's own turn."""
        if message.additional_kwargs.get("lc_source") == "summarization" and isinstance(message.content, str):
            with self._lock:
                found = self._turns.get(message.content.partition("\n\n")[2])
            if found is not None:
                return found
        return to_turns([message])[0]
