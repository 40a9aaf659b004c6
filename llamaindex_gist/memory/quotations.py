"""Messages that quote earlier ones, and know which."""

from __future__ import annotations

from llama_index.core.base.llms.types import ChatMessage, MessageRole, TextBlock
from pydantic import PrivateAttr

from gist_core.memory.gist import Gist
from gist_core.memory.recall import Recall


class GistMessage(ChatMessage):
    """A user's message that stands for earlier ones; ``gist`` tells for which.

    The gist is no entry of ``additional_kwargs``: those are printed into prompts, counted, and sent to providers.
    """

    _gist: Gist = PrivateAttr()

    @property
    def gist(self) -> Gist:
        """What it stands for."""
        return self._gist

    @classmethod
    def of(cls, gist: Gist) -> GistMessage:
        """The message of a gist."""
        message = cls(role=MessageRole.USER, blocks=[TextBlock(text=gist.text)])
        message._gist = gist
        return message


class RecallMessage(ChatMessage):
    """A user's message that quotes what earlier ones say on the question asked last; ``recall`` tells where."""

    _recall: Recall = PrivateAttr()

    @property
    def recall(self) -> Recall:
        """What was found; its pieces lead to turns."""
        return self._recall

    @classmethod
    def of(cls, recall: Recall) -> RecallMessage:
        """The message of what was found."""
        message = cls(role=MessageRole.USER, blocks=[TextBlock(text=recall.text)])
        message._recall = recall
        return message
