"""A conversation as it stands: its gists and turns in order, and which of them have to stay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from gist_core.memory.counting import TurnCounter
from gist_core.memory.gist import Gist, chain, gist_from_json, gist_to_json
from gist_core.memory.turns import Turn, with_id


@dataclass(frozen=True, slots=True)
class Entry:
    """A turn of the view, or a gist.

    Args:
        turn: The caller's own turn, or the one that stands for a gist.
        id: The turn's id in the conversation; the caller's turn may have none.
        tokens: What it costs in the view.
        digest: ``turn.digest``; empty for a gist.
        origin: Index of the turn in the conversation or in the list given; None for a gist.
    """

    turn: Turn
    id: str
    tokens: int
    digest: str
    origin: int | None

    @property
    def gist(self) -> Gist | None:
        """The gist, if it is one."""
        return self.turn.gist

    @property
    def shown(self) -> bool:
        """Whether it is in the view: a gist without room is not."""
        return self.turn.gist is None or bool(self.turn.gist.text)

    @property
    def turns(self) -> int:
        """How many turns of the conversation it stands for."""
        return len(self.turn.gist.turns) if self.turn.gist else 1

    @property
    def tokens_in(self) -> int:
        """What these turns cost word for word."""
        return self.turn.gist.tokens_in if self.turn.gist else self.tokens


def entered(turns: Sequence[Turn], counter: TurnCounter, position: int = 0, origin: int | None = None) -> list[Entry]:
    """New entries for turns and gists.

    Args:
        turns: Turns and gists in a row.
        counter: Counts what each costs.
        position: That of the first in the conversation; names turns without an id. A gist takes up as many positions
            as it stands for turns.
        origin: Index of the first in the list given, from which their origins count; else these are the positions.
    """
    entries = []
    for offset, turn in enumerate(turns):
        if turn.gist is not None:
            entries.append(Entry(turn, turn.gist.id, counter.turn(turn) if turn.content else 0, "", None))
            position += len(turn.gist.turns)
            continue
        at = position if origin is None else origin + offset
        entries.append(Entry(turn, with_id(turn, position).id, counter.turn(turn), turn.digest, at))
        position += 1
    return entries


def tool_units(turns: Sequence[Turn]) -> list[range]:
    """Index ranges that must not be parted: a turn with calls, all its results, and whatever stands between.

    A result belongs to the nearest call of its id before it. Ranges that overlap become one; sorted.
    """
    callers: dict[str, int] = {}
    last: dict[int, int] = {}
    for at, turn in enumerate(turns):
        if turn.role == "tool" and turn.tool_call_id in callers:
            last[callers[turn.tool_call_id]] = at
        for call in turn.tool_calls:
            callers[call.id] = at
    merged: list[range] = []
    for start in sorted(last):
        if merged and start < merged[-1].stop:
            merged[-1] = range(merged[-1].start, max(merged[-1].stop, last[start] + 1))
        else:
            merged.append(range(start, last[start] + 1))
    return merged


def fixed(entries: Sequence[Entry], keep_last: int) -> list[bool]:
    """Which entries stay word for word: system and pinned turns, the last turns, and whole tool units with them."""
    stays = [e.gist is None and (e.turn.role == "system" or e.turn.pinned) for e in entries]
    turns = [at for at, e in enumerate(entries) if e.gist is None]
    for at in turns[max(0, len(turns) - keep_last) :]:
        stays[at] = True
    for unit in tool_units([e.turn for e in entries]):
        if any(stays[at] for at in unit):
            for at in unit:
                stays[at] = entries[at].gist is None
    return stays


def runs(free: Sequence[bool]) -> list[range]:
    """The maximal runs of places that are free."""
    edges = [at for at, (a, b) in enumerate(pairwise([False, *free, False])) if a != b]
    return [range(start, stop) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def strays(turns: Sequence[Turn]) -> set[int]:
    """Places of results that stand behind no call of theirs."""
    called: set[str] = set()
    found = set()
    for at, turn in enumerate(turns):
        if turn.role == "tool" and turn.tool_call_id not in called:
            found.add(at)
        called |= {call.id for call in turn.tool_calls}
    return found


def unanswered(turns: Sequence[Turn]) -> set[str]:
    """Ids of calls that none of the turns answers."""
    calls = {call.id for turn in turns for call in turn.tool_calls}
    return calls - {turn.tool_call_id for turn in turns if turn.role == "tool" and turn.tool_call_id}


def follow(entries: Sequence[Entry], turns: Sequence[Turn]) -> tuple[list[Entry], int]:
    """The entries at the beginning that ``turns`` begins with, now with the caller's objects, and how many turns
    they take up. The turns are the view as it was, or the conversation that it stands for.
    """
    kept: list[Entry] = []
    at = 0
    for entry in entries:
        size = _match(entry, turns, at)
        if size is None:
            return _as_view(entries, turns) or (kept, at)
        kept.append(_taken(entry, turns, at))
        at += size
    return kept, at


def _as_view(entries: Sequence[Entry], turns: Sequence[Turn]) -> tuple[list[Entry], int] | None:
    """As ``follow``, where the turns begin with the view itself; gists without room do not show in it."""
    shown = [e for e in entries if e.shown]
    if len(shown) > len(turns) or not all(_is(e, turn) for e, turn in zip(shown, turns, strict=False)):
        return None
    places = iter(range(len(shown)))
    return [_taken(e, turns, next(places)) if e.shown else e for e in entries], len(shown)


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


@dataclass(frozen=True, slots=True)
class Saved:
    """A view as it is saved: gists and ids of turns, the turn archived last, and calls in gists without results."""

    entries: list[Gist | str]
    last: str
    open_calls: list[str]


def dump_view(entries: Sequence[Entry], last: str, open_calls: set[str]) -> str:
    """A view as JSON text; its turns by their ids.

    Without JSON's own escapes: two lone surrogates side by side come back from them as one character.
    """
    items = [gist_to_json(e.gist) if e.gist else e.id for e in entries]
    return json.dumps({"entries": items, "last": last, "open_calls": sorted(open_calls)}, ensure_ascii=False)


def load_view(text: str) -> Saved:
    """The view that ``dump_view`` wrote."""
    data = json.loads(text)
    entries = [item if isinstance(item, str) else gist_from_json(item) for item in data["entries"]]
    return Saved(entries, data["last"], data["open_calls"])
