"""Many conversations at once: a compactor for each, the least recently used ones let go."""

from __future__ import annotations

import threading
from collections import OrderedDict

from gist_core.compressor import TextCompressor
from gist_core.loading import load_compressor
from gist_core.memory.archive import Archive, MemoryArchive
from gist_core.memory.compactor import ConversationCompactor
from gist_core.memory.policy import MemoryPolicy

_MOST = 1_024


class Conversations:
    """Compactors by conversation. All share one compressor and one archive; safe to share between threads.

    The state of a conversation that is let go comes back from the archive.

    Args:
        policy: When to compact, to what size, what stays.
        compressor: Rates sentences; the embedded default model if not given, loaded at first need.
        archive: Where originals are kept; one in memory if not given.
    """

    def __init__(
        self,
        policy: MemoryPolicy | None = None,
        *,
        compressor: TextCompressor | None = None,
        archive: Archive | None = None,
    ) -> None:
        self.policy = policy or MemoryPolicy()
        self.archive: Archive = archive if archive is not None else MemoryArchive()
        self._compressor = compressor or load_compressor()
        self._lock = threading.Lock()
        self._known: OrderedDict[str, ConversationCompactor] = OrderedDict()

    def of(self, conversation: str) -> ConversationCompactor:
        """The compactor of a conversation, the same one each time.

        Raises:
            InvalidInputError: ``conversation`` is empty.
        """
        with self._lock:
            if conversation not in self._known:
                self._known[conversation] = self._new(conversation)
                if len(self._known) > _MOST:
                    self._known.popitem(last=False)
            self._known.move_to_end(conversation)
            return self._known[conversation]

    def _new(self, conversation: str) -> ConversationCompactor:
        return ConversationCompactor(
            self.policy, compressor=self._compressor, archive=self.archive, conversation=conversation
        )

    def forget(self, conversation: str) -> None:
        """Lets a conversation go, its archive too."""
        with self._lock:
            self._known.pop(conversation, None)
            self.archive.delete(conversation)
