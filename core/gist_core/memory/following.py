"""What a conversation given whole has in common with the one that stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from gist_core.memory.counting import TurnCounter
from gist_core.memory.gist import Gist, chain
from gist_core.memory.names import Names
from gist_core.memory.state import Entry, entered
from gist_core.memory.turns import Turn


@dataclass(frozen=True, slots=True)
class Common:
    """What given turns have in common with entries, which now hold the caller's objects.

    Args:
        turns: The turns given.
        lead: For each of the system's turns at the beginning its entry, None for one that is new.
        kept: The entries that the rest begins with.
        used: How many of the turns both take up.
    """

    turns: Sequence[Turn]
    lead: list[Entry | None]
    kept: list[Entry]
    used: int

    @property
    def entries(self) -> list[Entry]:
        """The entries that go on."""
        return [*(entry for entry in self.lead if entry is not None), *self.kept]

    @property
    def new(self) -> list[Turn]:
        """The turns that are new."""
        changed = [turn for turn, entry in zip(self.turns, self.lead, strict=False) if entry is None]
        return [*changed, *self.turns[self.used :]]

    def entered(self, counter: TurnCounter, names: Names) -> tuple[list[Entry], list[Entry]]:
        """The entries of the conversation, and those of them that are new."""
        system = [entry or entered([self.turns[at]], counter, names, at, at)[0] for at, entry in enumerate(self.lead)]
        position = len(system) + sum(entry.turns for entry in self.kept)
        rest = entered(self.turns[self.used :], counter, names, position, self.used)
        changed = [entry for entry, old in zip(system, self.lead, strict=True) if old is None]
        return [*system, *self.kept, *rest], [*changed, *rest]


def follow(entries: Sequence[Entry], turns: Sequence[Turn]) -> Common:
    """What the entries have in common with turns that are the view as it was, or the conversation that it stands for.

    The system's turns at the beginning are compared one by one, apart from what follows: one that is another text in
    each call (the time of day) costs no gist.
    """
    kept, used = _followed(entries, turns, 0)
    if len(kept) == len(entries):
        return Common(turns, [], kept, used)
    known, given = _leading([entry.turn for entry in entries]), _leading(turns)
    lead = [
        _taken(entries[at], turns, at) if at < known and _is(entries[at], turns[at]) else None for at in range(given)
    ]
    kept, used = _followed(entries[known:], turns, given)
    return Common(turns, lead, kept, used)


def _leading(turns: Sequence[Turn]) -> int:
    """How many turns at the beginning are the system's."""
    return sum(1 for _ in takewhile(lambda turn: turn.role == "system", turns))


def _followed(entries: Sequence[Entry], turns: Sequence[Turn], start: int) -> tuple[list[Entry], int]:
    """The entries that the turns from ``start`` on begin with, and where these turns end."""
    kept: list[Entry] = []
    at = start
    for entry in entries:
        size = _match(entry, turns, at)
        if size is None:
            return _as_view(entries, turns, start) or (kept, at)
        kept.append(_taken(entry, turns, at))
        at += size
    return kept, at


def _as_view(entries: Sequence[Entry], turns: Sequence[Turn], start: int) -> tuple[list[Entry], int] | None:
    """As ``_followed``, where the turns begin with the view itself; gists without room do not show in it."""
    shown = [e for e in entries if e.shown]
    end = start + len(shown)
    if end > len(turns) or not all(map(_is, shown, turns[start:end])):
        return None
    places = iter(range(start, end))
    return [_taken(e, turns, next(places)) if e.shown else e for e in entries], end


def _taken(entry: Entry, turns: Sequence[Turn], at: int) -> Entry:
    return entry if entry.gist else replace(entry, turn=turns[at], origin=at)


def _is(entry: Entry, turn: Turn) -> bool:
    """Whether the turn is this entry of a view."""
    if entry.gist or turn.gist:
        return entry.gist is not None and turn.gist is not None and entry.gist.id == turn.gist.id
    return turn.pinned == entry.turn.pinned and (turn is entry.turn or turn.digest == entry.digest)


def _match(entry: Entry, turns: Sequence[Turn], at: int) -> int | None:
    """How many of the turns from ``at`` on are this entry or what it stands for; None if they are others."""
    if at < len(turns) and _is(entry, turns[at]):
        return 1
    covered = turns[at : at + entry.turns]
    return len(covered) if entry.gist and _covers(entry.gist, covered) else None


def _covers(gist: Gist, turns: Sequence[Turn]) -> bool:
    if len(turns) < len(gist.turns) or any(t.gist or t.pinned or t.role == "system" for t in turns):
        return False
    at = 0
    for count, digest in gist.blocks:
        if chain(turn.digest for turn in turns[at : at + count]) != digest:
            return False
        at += count
    return at == len(turns)
