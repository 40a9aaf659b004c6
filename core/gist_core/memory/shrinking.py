"""From a view above its limit to one below: which turns become gists, of what size, and which gists give way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gist_core.errors import BudgetTooSmallError
from gist_core.memory.policy import MemoryPolicy
from gist_core.memory.state import Entry, fixed, runs
from gist_core.memory.writing import GistWriter

_SMALL = 12  # labels; with less room there is one gist a run, made anew each time
_NEW_SHARE = 4  # new turns get at least a quarter of the room that gists have; older gists give way
_CRAMPED = 4  # gists have a quarter of the low-water mark where what has to stay is above the high one
_LEAST_DENSITY = 0.5  # of the mean of old gists: what the squeezed ones keep, in tokens for a token word for word


class Shrinker:
    """Turns a view into one at or below the low-water mark.

    Every run of turns that may go becomes one gist. Old gists stay as they are where there is room. Else the oldest
    ones are squeezed by what is missing, neighbours into one: so many that together they hold twice that much, and
    are left with no less than half of what old gists have in the mean for a token of the conversation. So a gist
    stays byte for byte as it is for several compactions, and what is old is told more briefly but not squeezed to
    nothing. Where the low-water mark cannot be met, half of what lies between the fixed turns and the high-water mark
    is used, and then all. In a room of a few sentences labels would cost too much: there all of a run, old and new,
    is one gist.
    """

    def __init__(self, policy: MemoryPolicy, writer: GistWriter) -> None:
        self._policy = policy
        self._writer = writer

    def __call__(self, entries: Sequence[Entry]) -> list[Entry]:
        """The new entries.

        Raises:
            BudgetTooSmallError: What has to stay word for word is above the high-water mark.
        """
        stays = fixed(entries, self._policy.keep_last)
        return self._shrunk(entries, stays, self._room(entries, stays))

    def closest(self, entries: Sequence[Entry]) -> list[Entry]:
        """The new entries where ``__call__`` raises: what has to stay, and all else in a small room.

        Not in labels alone: a long result of a tool stays for a few turns, what gists lose for it never comes back.
        """
        stays = fixed(entries, self._policy.keep_last)
        room = max(self._policy.low // _CRAMPED, self._writer.least)
        free = sum(e.tokens for e, stay in zip(entries, stays, strict=True) if not stay)
        if free <= room and all(e.shown for e in entries):
            return list(entries)
        return self._shrunk(entries, stays, room)

    def _shrunk(self, entries: Sequence[Entry], stays: Sequence[bool], room: int) -> list[Entry]:
        """The entries with gists of ``room`` tokens together."""
        lead = _lead(entries, stays) if room >= self._writer.least else None
        entries = self._labelled(entries, lead)
        if room < _SMALL * self._writer.least:
            free = [not stay for stay in stays]
            return list(_put_together(entries, self._make(entries, runs(free), room, lead)))
        fresh = runs([not stay and e.gist is None for stay, e in zip(stays, entries, strict=True)])
        made = self._make(entries, fresh, self._for_new(entries, room, lead), lead)
        left = room - sum(entry.tokens for _, entry in made)
        return list(_put_together(entries, made + self._squeeze(entries, left, lead)))

    def _room(self, entries: Sequence[Entry], stays: Sequence[bool]) -> int:
        """Tokens for all gists together."""
        verbatim = sum(e.tokens for e, stay in zip(entries, stays, strict=True) if stay)
        least = self._writer.least
        room = self._policy.low - verbatim
        if room < least:
            above = self._policy.high_water - verbatim
            room = above // 2 if above // 2 >= least else above
        if room < (least if _needs_label(entries, stays) else 0):
            raise BudgetTooSmallError(
                f"{verbatim} tokens have to stay word for word, with high_water={self._policy.high_water}.",
                hint="Raise high_water, lower keep_last, pin less, or shorten what tools return.",
            )
        return room

    def _labelled(self, entries: Sequence[Entry], lead: int | None) -> list[Entry]:
        """The entries; the leading gist is shown, by its label, if it was not."""
        found = list(entries)
        if lead is not None and not found[lead].shown:
            found[lead] = self._writer.write([found[lead]], (), self._writer.least, shown=True)
        return found

    def _make(
        self, entries: Sequence[Entry], fresh: Sequence[range], left: int, lead: int | None
    ) -> list[tuple[range, Entry]]:
        """A gist for each run of entries, of at most ``left`` tokens together."""
        total = sum(entries[at].tokens for run in fresh for at in run)
        made = []
        for run in fresh:
            some = entries[run.start : run.stop]
            size = sum(e.tokens for e in some)
            least = self._writer.least if run.start == lead else 0
            share = max(left * size // max(total, 1), least)
            position = sum(e.turns for e in entries[: run.start])
            entry = self._writer.write(some, self._writer.pieces(some, position), share, shown=bool(least))
            made.append((run, entry))
            left, total = left - entry.tokens, total - size
        return made

    def _for_new(self, entries: Sequence[Entry], room: int, lead: int | None) -> int:
        """Tokens for the gists of new turns: what old ones leave, or their share; a leading old one keeps its label."""
        held = sum(e.tokens for e in entries if e.gist)
        if not held:
            return room
        label = self._writer.least if lead is not None and entries[lead].gist else 0
        return min(max(room - held, -(-room // _NEW_SHARE)), room - label)

    def _squeeze(self, entries: Sequence[Entry], left: int, lead: int | None) -> list[tuple[range, Entry]]:
        """The old gists that have to give way so that all of them cost at most ``left`` tokens."""
        old = [at for at, e in enumerate(entries) if e.gist]
        missing = sum(entries[at].tokens for at in old) - left
        if missing <= 0:
            return []
        gone = old[: _giving_way([entries[at] for at in old], missing, self._writer.least)]
        room = sum(entries[at].tokens for at in gone) - missing
        return self._make(entries, runs([at in gone for at in range(len(entries))]), room, lead)


def _giving_way(gists: Sequence[Entry], missing: int, least: int) -> int:
    """How many of the gists, oldest first, are squeezed by ``missing`` tokens together."""
    left = sum(e.tokens for e in gists) - missing
    whole = sum(e.tokens_in for e in gists)
    held = covered = 0
    for count, gist in enumerate(gists, start=1):
        held += gist.tokens
        covered += gist.tokens_in
        dense = (held - missing) * whole >= _LEAST_DENSITY * left * covered
        if dense and held >= max(2 * missing, missing + least):
            return count
    return len(gists)


def _lead(entries: Sequence[Entry], stays: Sequence[bool]) -> int | None:
    """Where the conversation after the system's turns begins with a gist, or will."""
    first = next((at for at, e in enumerate(entries) if e.turn.role != "system"), None)
    return None if first is None or stays[first] else first


def _needs_label(entries: Sequence[Entry], stays: Sequence[bool]) -> bool:
    """Whether a gist has to be shown so that the first turn after the system's is a user's."""
    verbatim = (e.turn.role for e, stay in zip(entries, stays, strict=True) if stay and e.turn.role != "system")
    return _lead(entries, stays) is not None and next(verbatim, "user") != "user"


def _put_together(entries: Sequence[Entry], made: Sequence[tuple[range, Entry]]) -> Iterator[Entry]:
    gone = {at for run, _ in made for at in run}
    begins = {run.start: entry for run, entry in made}
    for at, entry in enumerate(entries):
        if at in begins:
            yield begins[at]
        elif at not in gone:
            yield entry
