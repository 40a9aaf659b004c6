"""The tool by which an agent asks its own past."""

from __future__ import annotations

from langchain_core.tools import BaseTool, StructuredTool

from langchain_gist.memory._views import Views

RECALL_TOOL = "recall_conversation"
_NOTHING = "Nothing was found in the earlier conversation."


def recall_tool(views: Views, tokens: int) -> BaseTool:
    """A tool that recalls from the conversation in which it is called.

    Args:
        views: Of all conversations.
        tokens: Most tokens of an answer.
    """

    def recall(query: str) -> str:
        """Searches the earlier parts of this conversation, word for word, also those that are no longer shown.

        Args:
            query: A question, or the words to look for.
        """
        found = views.recall(query, tokens, views.thread()).text if query.strip() else ""
        return found or _NOTHING

    async def arecall(query: str) -> str:
        found = (await views.arecall(query, tokens, views.thread())).text if query.strip() else ""
        return found or _NOTHING

    return StructuredTool.from_function(recall, arecall, name=RECALL_TOOL, parse_docstring=True)
