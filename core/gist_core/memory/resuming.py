"""A conversation as an archive holds it: the view saved last, and every turn that this view does not know of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gist_core.memory.archive import Archive
from gist_core.memory.gist import Gist
from gist_core.memory.state import Saved, load_view
from gist_core.memory.turns import Turn


@dataclass(frozen=True, slots=True)
class Resumed:
    """Where a conversation goes on.

    Args:
        items: Its gists and turns in order.
        beside: Ids of archived turns that are no part of it any more.
        open_calls: Calls in gists without results.
        repeated: Ids that several of the turns have; an archive gives only one turn for an id, so they need others.
    """

    items: tuple[Turn, ...]
    beside: frozenset[str]
    open_calls: frozenset[str]
    repeated: frozenset[str]


def resume(archive: Archive, conversation: str) -> Resumed:
    """What the archive holds of a conversation; nothing where it does not know it.

    A turn that the view neither shows nor stands for, and that no branch left behind, came later or from another
    writer: it follows at the end.
    """
    turns, text = archive.turns(conversation), archive.saved_view(conversation)
    saved = Saved() if text is None else load_view(text)
    there = {turn.id for turn in turns}
    view = [item for item in saved.entries if isinstance(item, Gist) or item in there]
    verbatim = iter(archive.get(conversation, [item for item in view if isinstance(item, str)]))
    items = [gist_turn(item) if isinstance(item, Gist) else next(verbatim) for item in view]
    known = {name for item in view for name in (item.turns if isinstance(item, Gist) else (item,))}
    beside = set(saved.beside) | _before(turns, saved.last) - known
    known |= beside
    new = [turn for turn in turns if turn.id not in known]
    counts = Counter(turn.id for turn in new)
    repeated = frozenset(name for name, count in counts.items() if count > 1)
    return Resumed((*items, *new), frozenset(beside | repeated), frozenset(saved.open_calls), repeated)


def gist_turn(gist: Gist) -> Turn:
    """The turn that stands for a gist."""
    return Turn("user", gist.text, id=gist.id, gist=gist)


def _before(turns: Sequence[Turn], last: str | None) -> set[str]:
    """Ids of the turns up to the last one that a view of an older version knew, without those that came after it."""
    end = 1 + max((at for at, turn in enumerate(turns) if last is not None and turn.id == last), default=-1)
    return {turn.id for turn in turns[:end]} - {turn.id for turn in turns[end:]}
