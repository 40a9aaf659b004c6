"""Chat memory: conversations of any length under a token limit, with nothing lost. Knows no framework."""

from gist_core.memory.archive import Archive, MemoryArchive
from gist_core.memory.compaction import Compaction, MemoryUsage
from gist_core.memory.compactor import ConversationCompactor
from gist_core.memory.conversations import Conversations
from gist_core.memory.gist import Gist, Piece, gist_from_json, gist_to_json
from gist_core.memory.policy import MemoryPolicy
from gist_core.memory.recall import Recall
from gist_core.memory.turns import ToolCall, Turn, turn_from_json, turn_to_json

__all__ = [
    "Archive",
    "Compaction",
    "ConversationCompactor",
    "Conversations",
    "Gist",
    "MemoryArchive",
    "MemoryPolicy",
    "MemoryUsage",
    "Piece",
    "Recall",
    "ToolCall",
    "Turn",
    "gist_from_json",
    "gist_to_json",
    "turn_from_json",
    "turn_to_json",
]
