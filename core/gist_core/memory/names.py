"""What turns are called in their conversation: ids that no other turn of it has. Standard library only."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from gist_core.memory.turns import Turn


class Names:
    """Names the turns of one conversation, one after the other.

    A turn keeps the id it has, with its position behind it where an earlier turn has the same. One without an id is
    named by its position and by what was said up to it. So the same conversation always gives the same names, and
    turns of two branches, or of two writers that do not know of each other, share a name only where all that was said
    before them is the same. What the system says first, which may be another text in each call, changes no name.

    Args:
        taken: Ids that turns of the conversation have.
        before: The id of its last turn that is not the system's.
    """

    def __init__(self, taken: Iterable[str] = (), before: str = "") -> None:
        self._taken = set(taken)
        self._before = before

    def of(self, turn: Turn, digest: str, position: int) -> str:
        """The name of the next turn.

        Args:
            turn: The turn.
            digest: ``turn.digest``.
            position: Its place in the conversation.
        """
        given = turn.id or f"turn-{position}-{self._said(digest)}"
        found = given
        while found in self._taken:
            found, position = f"{given}~{position}", position + 1
        self._taken.add(found)
        if turn.role != "system":
            self._before = found
        return found

    def stand_for(self, turns: Sequence[str]) -> None:
        """Takes over the names of turns that a gist stands for."""
        self._taken.update(turns)
        self._before = turns[-1] if turns else self._before

    def _said(self, digest: str) -> str:
        said = f"{self._before}\n{digest}".encode("utf-8", "surrogatepass")
        return hashlib.sha256(said).hexdigest()[:8]


def named(turns: Sequence[Turn]) -> list[Turn]:
    """The turns of a conversation from its first on, under the names they have in it."""
    names = Names()
    return [under(turn, names.of(turn, turn.digest, position)) for position, turn in enumerate(turns)]


def under(turn: Turn, name: str) -> Turn:
    """The turn itself if it has this id, else a copy that has it."""
    return turn if turn.id == name else replace(turn, id=name)
