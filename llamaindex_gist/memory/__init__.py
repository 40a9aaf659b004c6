"""Chat memory for LlamaIndex: conversations of any length under a token limit, with nothing lost."""

from llamaindex_gist.memory._messages import turn_to_message
from llamaindex_gist.memory.block import GistMemoryBlock
from llamaindex_gist.memory.memory import GistMemory
from llamaindex_gist.memory.quotations import GistMessage, RecallMessage

__all__ = ["GistMemory", "GistMemoryBlock", "GistMessage", "RecallMessage", "turn_to_message"]
