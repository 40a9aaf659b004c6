"""What the memory and the memory block have in common: their settings, and that copies share conversations."""

from __future__ import annotations

from typing import Any, Self

from llama_index.core.instrumentation import get_dispatcher  # type: ignore[attr-defined]  # re-exported, not in __all__
from pydantic import BaseModel, ConfigDict, Field

from gist_core.memory.compactor import ConversationCompactor
from gist_core.memory.policy import OnFailure
from gist_core.memory.turns import Turn
from llamaindex_gist._fields import Model, Originals, Patterns, Tokenizer
from llamaindex_gist.events import GistMemoryEvent

dispatcher = get_dispatcher(__name__)


class SharedSettings(BaseModel):
    """Settings that do not change. A copy is another handle to the same conversations: agents copy their state."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", frozen=True)

    model: Model = Field("default", description="'default', a local folder, a hub id, or a TextCompressor to share.")
    tokenizer: Tokenizer = Field("o200k_base", description="Encoding or model name, HF tokenizer, or str -> int.")
    keep: Patterns = Field((), description="Regular expressions; what they match goes into a gist first.")
    device: str = Field("auto", description="'auto', 'cpu', 'mps', 'cuda' or 'cuda:<number>'.")
    on_error: OnFailure = Field("original", description="Answer to a run-time failure: 'original' or 'raise'.")
    archive: Originals = Field(None, exclude=True, description="Where originals are kept; in memory if not given.")

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.__copy__()


def append(compactor: ConversationCompactor, turns: list[Turn]) -> None:
    """Adds turns to a conversation and tells what it costs now."""
    if not turns:
        return
    usage = compactor.append(*turns).usage
    dispatcher.event(
        GistMemoryEvent(
            session=compactor.conversation,
            tokens_in=usage.tokens_in,
            tokens_out=usage.tokens_out,
            milliseconds=usage.milliseconds,
        )
    )
