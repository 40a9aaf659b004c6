"""One conversation under a token limit: what is new costs work, what is old becomes gists, nothing is lost."""

from __future__ import annotations

import asyncio
import threading
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace

from gist_core.budget import Budget
from gist_core.compressor import TextCompressor
from gist_core.errors import GistError
from gist_core.fallback import GistWarning
from gist_core.loading import load_compressor
from gist_core.memory.archive import Archive, MemoryArchive, check_conversation
from gist_core.memory.compaction import Compaction, MemoryUsage
from gist_core.memory.counting import TurnCounter
from gist_core.memory.gist import Gist
from gist_core.memory.policy import MemoryPolicy
from gist_core.memory.recall import Recall, Recaller
from gist_core.memory.scoring import PieceScorer
from gist_core.memory.shrinking import Shrinker
from gist_core.memory.state import Entry, dump_view, entered, follow, load_view, strays, unanswered
from gist_core.memory.turns import Turn, check_turns
from gist_core.memory.writing import GistWriter


class ConversationCompactor:
    """Keeps the model's view of one conversation under ``policy.high_water`` tokens.

    Either give the whole conversation each time (``compact``), or only what is new (``append``). Below the high-water
    mark nothing happens. Above it the turns between the system's and the last ones become gists, user turns that quote
    what matters most, until the view is at the low-water mark. Gists already made stay byte for byte as they are
    until they have to give way themselves. A call of a tool and its results are never parted. No language model is
    called; the compressor reads every turn once. Originals go into the archive as they arrive.

    Safe to share between threads. With an archive that holds the conversation, it goes on from there.

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
        self._entries: list[Entry] = []
        self._turns = 0
        self._open: set[str] = set()
        self._unsaved: list[Turn] = []
        self._last = ""
        self._resume()

    def compact(self, turns: Sequence[Turn]) -> Compaction:
        """The view of a conversation given whole. Gists made of the same turns before are used again.

        Where the turns differ from those of the call before (an edit, another branch), the view is made anew from
        there on. ``turns`` may hold gists of earlier views. Nothing given is changed.

        Raises:
            BudgetTooSmallError: What has to stay is above the high-water mark (``on_error="raise"``).
            GistError: An argument is unusable, or the model or the archive failed (``on_error="raise"``).
        """
        check_turns(turns)
        with self._lock:
            call = _Call(self)
            kept, used = follow(self._entries, turns)
            position = sum(e.turns for e in kept)
            new = entered(turns[used:], self._counter, position, used)
            branched = len(kept) < len(self._entries)
            found = self._settle(kept, new, call, branched=branched)
            if found.error is not None:
                return replace(found, turns=tuple(turns), origin=tuple(range(len(turns))))
            return found

    def append(self, *turns: Turn) -> Compaction:
        """The view after these turns are added to the conversation; ``origin`` counts its turns from the first.

        Work is proportional to the turns given, but for a compaction, whose work is proportional to the view.

        Raises:
            GistError: As ``compact``. The turns have been added all the same, where it was not the archive that failed.
        """
        check_turns(turns)
        with self._lock:
            call = _Call(self)
            return self._settle(self._entries, entered(turns, self._counter, self._turns), call)

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
        turns = self.archive.get(self.conversation, [id_ for gist in gists for id_ in gist.turns])
        return self._recaller(turns, gists, query, budget)

    async def acompact(self, turns: Sequence[Turn]) -> Compaction:
        """As ``compact``, off the event loop."""
        return await asyncio.to_thread(self.compact, turns)

    async def aappend(self, *turns: Turn) -> Compaction:
        """As ``append``, off the event loop."""
        return await asyncio.to_thread(self.append, *turns)

    async def arecall(self, query: str, budget: Budget) -> Recall:
        """As ``recall``, off the event loop."""
        return await asyncio.to_thread(self.recall, query, budget)

    def _settle(self, kept: list[Entry], new: list[Entry], call: _Call, *, branched: bool = False) -> Compaction:
        """Archives what is new, compacts if need be, and takes the outcome over.

        ``branched``: turns that stood before are gone, so that the archive's order no longer tells the conversation.
        """
        entries = kept + new
        self._entries, self._turns = entries, sum(e.turns for e in entries)
        self._unsaved += [_named(e) for e in new if e.gist is None]
        try:
            self._save()
            if branched:
                self._last = self.archive.turns(self.conversation)[-1].id
                self._save(dump_view(entries, self._last, self._open))
            self._take(self._without_strays(entries))
            if self._is_due():
                self._take(self._shrinker(self._entries))
        except GistError as error:
            if self.policy.on_error == "raise":
                raise
            warnings.warn(f"The conversation stays as it was: {error}", GistWarning, stacklevel=4)
            return call.result(entries, error)
        return call.result(self._entries)

    def _is_due(self) -> bool:
        """Above the mark; or a gist that had no room would let the view begin with another's turn than a user's."""
        if sum(e.tokens for e in self._entries) > self.policy.high_water:
            return True
        others = [e for e in self._entries if e.turn.role != "system"]
        first = next((e for e in others if e.shown), None)
        return first is not None and not others[0].shown and first.turn.role != "user"

    def _save(self, view: str | None = None) -> None:
        """Archives what has not been; a turn becomes a gist only after that."""
        if self._unsaved or view is not None:
            self.archive.add(self.conversation, self._unsaved, view)
        if self._unsaved:
            self._last, self._unsaved = self._unsaved[-1].id, []

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
        self._save(dump_view(entries, self._last, open_calls))
        self._entries, self._open = entries, open_calls

    def _resume(self) -> None:
        """Goes on from what the archive holds: the view saved last, and the turns that came after it."""
        turns = self.archive.turns(self.conversation)
        if not turns:
            return
        items, self._last = turns, turns[-1].id
        text = self.archive.saved_view(self.conversation)
        if text is not None:
            saved = load_view(text)
            after = 1 + max((at for at, turn in enumerate(turns) if turn.id == saved.last), default=-1)
            verbatim = iter(self.archive.get(self.conversation, [e for e in saved.entries if isinstance(e, str)]))
            items = [_gist_turn(e) if isinstance(e, Gist) else next(verbatim) for e in saved.entries] + turns[after:]
            self._open = set(saved.open_calls)
        self._entries = entered(items, self._counter)
        self._turns = sum(e.turns for e in self._entries)


class _Call:
    """One call under way: when it began and what stood before it."""

    def __init__(self, compactor: ConversationCompactor) -> None:
        self._began = time.perf_counter()
        self._scorer = compactor._scorer
        self._scored = self._scorer.tokens
        self._before = [e.id for e in compactor._entries if e.shown]

    def result(self, entries: Sequence[Entry], error: GistError | None = None) -> Compaction:
        shown = [e for e in entries if e.shown]
        prefix = 0
        for entry, before in zip(shown, self._before, strict=False):
            if entry.id != before:
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


def _named(entry: Entry) -> Turn:
    """The turn of an entry under the id it has in the conversation."""
    return entry.turn if entry.turn.id == entry.id else replace(entry.turn, id=entry.id)


def _gist_turn(gist: Gist) -> Turn:
    return Turn("user", gist.text, id=gist.id, gist=gist)
