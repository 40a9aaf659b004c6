"""The tool by which an agent asks its own past."""

from __future__ import annotations

import asyncio
import logging

from langchain_core.tools import BaseTool, StructuredTool

from gist_core.fallback import WRONG_SETTINGS, tell
from langchain_gist.memory._views import Views

RECALL_TOOL = "recall_conversation"
_NOTHING = "Nothing was found in the earlier conversation."
_FAILED = "The earlier conversation cannot be searched at the moment."

logger = logging.getLogger(__name__)


def recall_tool(views: Views, tokens: int) -> BaseTool:
    """A tool that recalls from the conversation in which it is called.

    Args:
        views: Of all conversations; where their settings say ``on_error="original"``, a failure is told to the agent.
        tokens: Most tokens of an answer.
    """

    def recall(query: str) -> str:
        """Searches the earlier parts of this conversation, word for word, also those that are no longer shown.

        Args:
            query: A question, or the words to look for.
        """
        if not query.strip():
            return _NOTHING
        try:
            return views.recall(query, tokens, views.thread()).text or _NOTHING
        except Exception as error:
            if views.settings.on_error == "raise" or isinstance(error, WRONG_SETTINGS):
                raise
            said = f"Nothing could be recalled: {type(error).__name__}: {error}"
            tell(logger, said, error)
            return _FAILED

    async def arecall(query: str) -> str:
        return await asyncio.to_thread(recall, query)

    return StructuredTool.from_function(recall, arecall, name=RECALL_TOOL, parse_docstring=True)
