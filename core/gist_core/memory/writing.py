"""Gists of a given size: made from turns, and squeezed when they must give way."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import accumulate, islice

from gist_core.memory.counting import TurnCounter
from gist_core.memory.gist import Gist, Piece, chain
from gist_core.memory.pieces import choose, pieces_of, written
from gist_core.memory.policy import MemoryPolicy
from gist_core.memory.scoring import PieceScorer, opening
from gist_core.memory.state import Entry
from gist_core.memory.tool_output import shorten_json
from gist_core.memory.turns import Turn


class GistWriter:
    """Writes gists that cost at most so many tokens, frame and label included.

    Args:
        policy: Its tokenizer counts, its tool results are so long.
        counter: Counts turns by the policy.
        scorer: Rates the pieces of new turns.
    """

    def __init__(self, policy: MemoryPolicy, counter: TurnCounter, scorer: PieceScorer) -> None:
        self._policy = policy
        self._counter = counter
        self._scorer = scorer

    def pieces(self, entries: Sequence[Entry], position: int) -> list[Piece]:
        """The scored pieces of turns, tools' JSON results shortened; gists bring those they hold.

        Args:
            entries: Turns and gists in a row.
            position: That of the first turn in the conversation.
        """
        fresh = [self._pieces(entry) for entry in entries]
        starts = accumulate((entry.turns for entry in entries), initial=position)
        extra = [opening(at) for own, at in zip(fresh, starts, strict=False) for _ in own]
        scored = iter(self._scorer([piece for own in fresh for piece in own], extra))
        found: list[Piece] = []
        for entry, own in zip(entries, fresh, strict=True):
            found += entry.gist.pieces if entry.gist else islice(scored, len(own))
        return found

    def _pieces(self, entry: Entry) -> list[Piece]:
        if entry.gist:
            return []
        result = None
        if entry.turn.role == "tool":
            result = shorten_json(entry.turn.content, self._policy.tool_result_tokens, self._counter.text)
        return pieces_of(entry.turn, entry.id, result)

    def write(self, entries: Sequence[Entry], pieces: Sequence[Piece], room: int, *, shown: bool = False) -> Entry:
        """One gist of all these turns and gists, of at most ``room`` tokens.

        Args:
            entries: What it stands for.
            pieces: What it may hold, in order.
            room: Tokens; if too few even for its label, the gist is not shown and costs nothing.
            shown: It has to be shown, by its label at least, whatever the room.
        """
        turns = tuple(id_ for e in entries for id_ in (e.gist.turns if e.gist else (e.id,)))
        label = _label(len(turns))
        chosen = self._fitting(list(pieces), label, room)
        text = _text(label, chosen) if chosen or shown or self._cost(label) <= room else ""
        gist = Gist(
            id=_name(turns, text),
            turns=turns,
            blocks=_blocks(entries),
            pieces=tuple(chosen),
            text=text,
            tokens_in=sum(e.tokens_in for e in entries),
        )
        turn = Turn("user", text, id=gist.id, gist=gist)
        return Entry(turn, gist.id, self._counter.turn(turn) if text else 0, "", None)

    @property
    def least(self) -> int:
        """What a gist costs that holds nothing but its label."""
        return self._cost(_label(10_000_000))

    def _fitting(self, pieces: list[Piece], label: str, room: int) -> list[Piece]:
        body = room - self._cost(label) - 1
        step = 1  # the size of the label and its joints is guessed; a token less may well choose the same again
        while body > 0:
            chosen = choose(pieces, body, self._counter.text)
            over = self._cost(_text(label, chosen)) - room
            if over <= 0:
                return chosen
            body -= max(over, step)
            step *= 2
        return []

    def _cost(self, text: str) -> int:
        return self._counter.turn(Turn("user", text))


def _label(turns: int) -> str:
    return f"[Quotes from {turns} earlier turn{'s' if turns > 1 else ''}]"


def _text(label: str, pieces: Sequence[Piece]) -> str:
    return f"{label}\n{written(pieces)}" if pieces else label


def _name(turns: Sequence[str], text: str) -> str:
    whole = "\n".join([*turns, text]).encode("utf-8", "surrogatepass")
    return f"gist-{hashlib.sha256(whole).hexdigest()[:12]}"


def _blocks(entries: Sequence[Entry]) -> tuple[tuple[int, str], ...]:
    """How the turns are known again; neighbouring turns make one block, gists bring their own."""
    blocks: list[tuple[int, str]] = []
    fresh: list[str] = []
    for entry in entries:
        if entry.gist is None:
            fresh.append(entry.digest)
            continue
        if fresh:
            blocks.append((len(fresh), chain(fresh)))
            fresh = []
        blocks += entry.gist.blocks
    return tuple([*blocks, (len(fresh), chain(fresh))] if fresh else blocks)
