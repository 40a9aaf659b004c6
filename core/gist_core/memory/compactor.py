"""One conversation under a token limit: what is new costs work, what is old becomes gists, nothing is lost."""

from __future__ import annotations

import asyncio
import threading
import time
import warnings
from collections.abc import Sequence, Set

from gist_core.budget import Budget
from gist_core.compressor import TextCompressor
from gist_core.errors import BudgetTooSmallError, GistError, InvalidInputError
from gist_core.fallback import WRONG_SETTINGS, GistWarning
from gist_core.loading import load_compressor
from gist_core.memory.archive import Archive, MemoryArchive, check_archivable, check_conversation
from gist_core.memory.compaction import Compaction, MemoryUsage
from gist_core.memory.counting import TurnCounter
from gist_core.memory.following import follow
from gist_core.memory.names import Names, under
from gist_core.memory.policy import MemoryPolicy
from gist_core.memory.recall import Recall, Recaller
from gist_core.memory.resuming import resume
from gist_core.memory.scoring import PieceScorer
from gist_core.memory.shrinking import Shrinker
from gist_core.memory.state import Entry, dump_view, entered, ids_of, names_after, strays, unanswered
from gist_core.memory.turns import Turn, check_turns
from gist_core.memory.writing import GistWriter


class ConversationCompactor:
    """Keeps the model's view of one conversation under ``policy.high_water`` tokens.

    Either give the whole conversation each time (``compact``), or only what is new (``append``). Below the high-water
    mark nothing happens. Above it the turns between the system's and the last ones become gists, user turns that quote
    what matters most, until the view is at the low-water mark. Gists already made stay byte for byte as they are
    until they have to give way themselves. A call of a tool and its results are never parted. No language model is
    called; the compressor reads every turn once. Originals go into the archive as they arrive.

    Safe to share between threads. With an archive that holds the conversation, it goes on from there. One live writer
    at a time: a second one on the same conversation, in this process or another, loses no turn, but neither sees what
    the other adds until a new one is made, which has the turns of both.

    Args:
        policy: When to compact, to what size, what stays.
        compressor: Rates sentences; the embedded default model if not given, loaded at first need.
        archive: Where originals are kept; one in memory if not given.
        conversation: Key of the conversation in the archive.

    Example:
        >>> memory = ConversationCompactor(MemoryPolicy(high_water=4_000))
        >>> view = memory.append(Turn("user", "My number is 4711.")).turns

    Raises:
        InvalidInputError: ``conversation`` is empty.
    """

    def __init__(
        self,
        policy: MemoryPolicy | None = None,
        *,
        compressor: TextCompressor | None = None,
        archive: Archive | None = None,
        conversation: str = "default",
    ) -> None:
        check_conversation(conversation)
        self.policy = policy or MemoryPolicy()
        self.conversation = conversation
        self.archive: Archive = archive if archive is not None else MemoryArchive()
        compressor = compressor or load_compressor()
        self._counter = TurnCounter(self.policy)
        self._scorer = PieceScorer(compressor, self._counter.text, self.policy.keep)
        self._writer = GistWriter(self.policy, self._counter, self._scorer)
        self._shrinker = Shrinker(self.policy, self._writer)
        self._recaller = Recaller(compressor)
        self._lock = threading.RLock()
        found = resume(self.archive, conversation)
        self._names = Names(found.repeated)
        self._entries = entered(found.items, self._counter, self._names)
        self._turns = sum(e.turns for e in self._entries)
        self._open, self._beside = set(found.open_calls), set(found.beside)
        self._unsaved = [under(e.turn, e.id) for e in self._entries if e.gist is None and e.turn.id != e.id]
        self._stale = bool(self._unsaved)  # whether the order of the archived turns does not tell the conversation

    def compact(self, turns: Sequence[Turn]) -> Compaction:
        """The view of a conversation given whole. Gists made of the same turns before are used again.

        Where the turns differ from those of the call before (an edit, another branch), the view is made anew from
        there on; what the system says first may be another text each time. ``turns`` may hold gists of earlier views.
        Nothing given is changed.

        Raises:
            InvalidInputError: A turn cannot be archived; nothing is changed.
            BudgetTooSmallError: What has to stay is above the high-water mark (``on_error="raise"``).
            GistError: The model or the archive failed (``on_error="raise"``), or the model cannot be had at all: its
                checkpoint, its device or an extra that it needs.
        """
        check_turns(turns)
        with self._lock:
            call = _Call(self)
            common = follow(self._entries, turns)
            check_archivable(common.new)
            gone: set[str] = set()
            names = self._names
            if len(common.entries) < len(self._entries):
                gone = set(ids_of(self._entries)).difference(ids_of(common.entries))
                names = names_after(common.entries)
            entries, new = common.entered(self._counter, names)
            self._names = names
            return self._settle(entries, new, call, gone)

    def append(self, *turns: Turn) -> Compaction:
        """The view after these turns are added to the conversation; ``origin`` counts its turns from the first.

        Work is proportional to the turns given, but for a compaction, whose work is proportional to the view.

        Raises:
            InvalidInputError: A turn cannot be archived; none was added.
            GistError: As ``compact``. The turns have been added all the same, where it was not the archive that failed.
        """
        check_turns(turns)
        with self._lock:
            check_archivable(turns)
            call = _Call(self)
            new = entered(turns, self._counter, self._names, self._turns)
            return self._settle([*self._entries, *new], new, call)

    def view(self) -> Compaction:
        """The view as it stands; no work is done."""
        with self._lock:
            return _Call(self).result(self._entries)

    def recall(self, query: str, budget: Budget) -> Recall:
        """What the turns that the view no longer shows word for word say about a question.

        Args:
            query: The question.
            budget: ``tokens=`` for the whole recalled text with its label, or ``ratio=`` of the turns searched.

        Raises:
            InvalidInputError: The query is empty, or the budget has neither.
            GistError: The model or the archive failed.
        """
        with self._lock:
            gists = [e.gist for e in self._entries if e.gist]
        return self._recaller(self._originals([id_ for gist in gists for id_ in gist.turns]), gists, query, budget)

    def _originals(self, ids: Sequence[str]) -> list[Turn]:
        """The archived turns of these ids; a gist given from elsewhere stands for turns that are not there."""
        try:
            return self.archive.get(self.conversation, ids)
        except InvalidInputError:
            there = {turn.id for turn in self.archive.turns(self.conversation)}
            return self.archive.get(self.conversation, [id_ for id_ in ids if id_ in there])

    async def acompact(self, turns: Sequence[Turn]) -> Compaction:
        """As ``compact``, off the event loop."""
        return await asyncio.to_thread(self.compact, turns)

    async def aappend(self, *turns: Turn) -> Compaction:
        """As ``append``, off the event loop."""
        return await asyncio.to_thread(self.append, *turns)

    async def arecall(self, query: str, budget: Budget) -> Recall:
        """As ``recall``, off the event loop."""
        return await asyncio.to_thread(self.recall, query, budget)

    def _settle(self, entries: list[Entry], new: list[Entry], call: _Call, gone: Set[str] = frozenset()) -> Compaction:
        """Makes these entries the conversation, archives what is new, and compacts if need be.

        ``gone``: ids of turns that stood before and are no part of it any more.
        """
        self._entries, self._turns = entries, sum(e.turns for e in entries)
        self._unsaved += [under(e.turn, e.id) for e in new if e.gist is None]
        back = not self._beside.isdisjoint(ids_of(new))
        self._stale = self._stale or bool(gone) or back or any(e.gist for e in new)
        self._beside = self._beside.union(gone).difference(ids_of(new)) if gone or back else self._beside
        try:
            self._save()
            self._take(self._without_strays(self._entries))
            error = self._compacted() if self._is_due() else None
        except GistError as failure:
            if self.policy.on_error == "raise" or isinstance(failure, WRONG_SETTINGS):
                raise
            warnings.warn(f"The conversation stays as it was: {failure}", GistWarning, stacklevel=4)
            error = failure
        return call.result(self._entries, error)

    def _compacted(self) -> GistError | None:
        """Takes a smaller view over; gives the reason where that is above the high-water mark all the same."""
        try:
            self._take(self._shrinker(self._entries))
        except BudgetTooSmallError as error:
            if self.policy.on_error == "raise":
                raise
            self._take(self._shrinker.closest(self._entries))
            above = sum(e.tokens for e in self._entries) - self.policy.high_water
            warnings.warn(f"The view is {above} tokens above high_water: {error}", GistWarning, stacklevel=5)
            return error
        return None

    def _is_due(self) -> bool:
        """Above the mark; or a gist that had no room would let the view begin with another's turn than a user's."""
        if sum(e.tokens for e in self._entries) > self.policy.high_water:
            return True
        others = [e for e in self._entries if e.turn.role != "system"]
        first = next((e for e in others if e.shown), None)
        return first is not None and not others[0].shown and first.turn.role != "user"

    def _save(self) -> None:
        """Archives what has not been, a turn becomes a gist only after that; the view with it, where the order of the
        archived turns does not tell the conversation.
        """
        view = dump_view(self._entries, self._open, self._beside) if self._stale else None
        if self._unsaved or self._stale:
            self.archive.add(self.conversation, self._unsaved, view)
        self._unsaved, self._stale = [], False

    def _without_strays(self, entries: list[Entry]) -> list[Entry]:
        """A result whose call went into a gist before it came is quoted too; once compaction is due, so is every
        result without a call: alone it would be an orphan.
        """
        due = self._is_due()
        if not (due or self._open):
            return entries
        lone = {at for at in strays([e.turn for e in entries]) if due or entries[at].turn.tool_call_id in self._open}
        return [self._quoted(e) if at in lone else e for at, e in enumerate(entries)]

    def _quoted(self, entry: Entry) -> Entry:
        return self._writer.write(
            [entry], self._writer.pieces([entry], self._turns), 2 * entry.tokens + self._writer.least, shown=True
        )

    def _take(self, entries: list[Entry]) -> None:
        """Makes these entries the state; saves the view if a gist is new in it."""
        before = {e.id for e in self._entries if e.gist}
        gone = {e.id for e in self._entries} - {e.id for e in entries}
        if not gone and all(e.id in before for e in entries if e.gist):
            return
        open_calls = self._open | unanswered([e.turn for e in self._entries if e.id in gone and e.gist is None])
        self.archive.add(self.conversation, [], dump_view(entries, open_calls, self._beside))
        self._entries, self._open = entries, open_calls


class _Call:
    """One call under way: when it began and what stood before it."""

    def __init__(self, compactor: ConversationCompactor) -> None:
        self._began = time.perf_counter()
        self._scorer = compactor._scorer
        self._scored = self._scorer.tokens
        self._before = [_read(e) for e in compactor._entries if e.shown]

    def result(self, entries: Sequence[Entry], error: GistError | None = None) -> Compaction:
        shown = [e for e in entries if e.shown]
        prefix = 0
        for entry, before in zip(shown, self._before, strict=False):
            if _read(entry) != before:
                break
            prefix += 1
        usage = MemoryUsage(
            tokens_in=sum(e.tokens_in for e in entries),
            tokens_out=sum(e.tokens for e in shown),
            tokens_scored=self._scorer.tokens - self._scored,
            prefix=prefix,
            milliseconds=1000 * (time.perf_counter() - self._began),
        )
        return Compaction(tuple(e.turn for e in shown), tuple(e.origin for e in shown), usage, error)


def _read(entry: Entry) -> str:
    """Equal for entries that read the same; ids of turns do not tell."""
    return entry.digest or entry.id
