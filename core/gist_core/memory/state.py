"""A conversation as it stands: its gists and turns in order, and which of them have to stay."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gist_core.memory.counting import TurnCounter
from gist_core.memory.gist import Gist, gist_from_json, gist_to_json
from gist_core.memory.names import Names
from gist_core.memory.turns import Turn


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


def entered(
    turns: Sequence[Turn], counter: TurnCounter, names: Names, position: int = 0, origin: int | None = None
) -> list[Entry]:
    """New entries for turns and gists.

    Args:
        turns: Turns and gists in a row.
        counter: Counts what each costs.
        names: Names them.
        position: That of the first in the conversation. A gist takes up as many positions as it stands for turns.
        origin: Index of the first in the list given, from which their origins count; else these are the positions.
    """
    counts = [counter.turn(turn) for turn in turns]  # before anything is named: it fails for what is no turn
    entries = []
    for offset, (turn, tokens) in enumerate(zip(turns, counts, strict=True)):
        if turn.gist is not None:
            names.stand_for(turn.gist.turns)
            entries.append(Entry(turn, turn.gist.id, tokens if turn.content else 0, "", None))
            position += len(turn.gist.turns)
            continue
        at, digest = position if origin is None else origin + offset, turn.digest
        entries.append(Entry(turn, names.of(turn, digest, position), tokens, digest, at))
        position += 1
    return entries


def ids_of(entries: Iterable[Entry]) -> list[str]:
    """Ids of all turns that these entries are or stand for."""
    return [id_ for entry in entries for id_ in (entry.gist.turns if entry.gist else (entry.id,))]


def names_after(entries: Sequence[Entry]) -> Names:
    """Names for what comes behind these entries."""
    spoken = [entry for entry in entries if entry.turn.role != "system"]
    return Names(ids_of(entries), next(reversed(ids_of(spoken[-1:])), ""))


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
    """Places of results that stand behind no call of theirs, or behind one that has its result.

    Ids of calls may repeat: with some providers they are the tools' names.
    """
    called: Counter[str] = Counter()
    found = set()
    for at, turn in enumerate(turns):
        if turn.role == "tool" and not _answers(turn, called):
            found.add(at)
        called.update(call.id for call in turn.tool_calls)
    return found


def unanswered(turns: Sequence[Turn]) -> set[str]:
    """Ids of calls that are more often made than answered by the turns."""
    called: Counter[str] = Counter()
    for turn in turns:
        called.update(call.id for call in turn.tool_calls)
        if turn.role == "tool":
            _answers(turn, called)
    return set(+called)


def _answers(turn: Turn, called: Counter[str]) -> bool:
    """Whether a result belongs to one of the calls that have none yet, which then has it."""
    id_ = turn.tool_call_id or ""
    known = called[id_] > 0
    called[id_] -= known
    return known


@dataclass(frozen=True, slots=True)
class Saved:
    """A view as it is saved.

    Args:
        entries: Gists and ids of turns.
        open_calls: Calls in gists without results.
        beside: Ids of archived turns that are no part of the conversation any more.
        last: In a view of an older version, instead of ``beside``: the turn archived last.
    """

    entries: Sequence[Gist | str] = ()
    open_calls: Sequence[str] = ()
    beside: Sequence[str] = ()
    last: str | None = None


def dump_view(entries: Sequence[Entry], open_calls: set[str], beside: set[str]) -> str:
    """A view as JSON text; its turns by their ids.

    Without JSON's own escapes: two lone surrogates side by side come back from them as one character.
    """
    items = [gist_to_json(e.gist) if e.gist else e.id for e in entries]
    saved = {"entries": items, "open_calls": sorted(open_calls), "beside": sorted(beside)}
    return json.dumps(saved, ensure_ascii=False)


def load_view(text: str) -> Saved:
    """The view that ``dump_view`` wrote."""
    data = json.loads(text)
    entries = [item if isinstance(item, str) else gist_from_json(item) for item in data["entries"]]
    return Saved(entries, data["open_calls"], data.get("beside", ()), data.get("last"))
