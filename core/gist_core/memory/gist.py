"""A gist: what is left of a run of turns, and what it stands for. Standard library only."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gist_core.errors import InvalidInputError
from gist_core.passage import ScoredSpan, Span

_BREAK = re.compile("(\r\n|[\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029])")
_INDENT = "  "


@dataclass(frozen=True, slots=True)
class Piece:
    """What a gist holds of one turn.

    Args:
        turn: Id of the turn.
        label: Who speaks, as the gist writes it.
        text: The kept text, ``render(content, spans)``.
        spans: Where it stands in the turn's content; None where it is no slice of it (a tool call's arguments, a
            tool's JSON with arrays shortened).
        units: The parts of ``text`` that can still be left out, with their scores; offsets are of ``text``.
    """

    turn: str
    label: str
    text: str
    spans: tuple[Span, ...] | None
    units: tuple[ScoredSpan, ...]


@dataclass(frozen=True, slots=True)
class Gist:
    """A run of turns in few tokens.

    Args:
        id: Names the gist by what it covers and holds.
        turns: Ids of all turns it stands for, in order, also of those of which nothing is left.
        blocks: Tells the same turns again: how many turns in a row, and ``chain`` over their digests.
        pieces: What it holds of them, in order.
        text: What the model reads: a label, then the pieces, quoted; empty where there was no room for it.
        tokens_in: Tokens of the turns it stands for, word for word.
    """

    id: str
    turns: tuple[str, ...]
    blocks: tuple[tuple[int, str], ...]
    pieces: tuple[Piece, ...]
    text: str
    tokens_in: int


def chain(digests: Iterable[str]) -> str:
    """One digest over the digests of turns in their order."""
    found = hashlib.sha256()
    for digest in digests:
        found.update(digest.encode("ascii"))
    return found.hexdigest()


def quote(label: str, text: str) -> str:
    """A text behind its label, its further lines indented: only a label ever begins a line, so nothing in the text
    can pass for something that is not quoted.
    """
    return f"{label}: {_BREAK.sub(_indented, text)}"


def _indented(found: re.Match[str]) -> str:
    return found[0] + _INDENT


def gist_to_json(gist: Gist) -> dict[str, Any]:
    """A gist as JSON data."""
    return {
        "id": gist.id,
        "turns": list(gist.turns),
        "blocks": [[count, digest] for count, digest in gist.blocks],
        "tokens_in": gist.tokens_in,
        "text": gist.text,
        "pieces": [
            {
                "turn": p.turn,
                "label": p.label,
                "text": p.text,
                "spans": None if p.spans is None else [[s.start, s.end] for s in p.spans],
                "units": [[u.start, u.end, u.score] for u in p.units],
            }
            for p in gist.pieces
        ],
    }


def gist_from_json(data: Mapping[str, Any]) -> Gist:
    """The gist that ``gist_to_json`` wrote.

    Raises:
        InvalidInputError: A field is missing or unusable.
    """
    try:
        return Gist(
            id=data["id"],
            turns=tuple(data["turns"]),
            blocks=tuple((count, digest) for count, digest in data["blocks"]),
            tokens_in=data["tokens_in"],
            text=data["text"],
            pieces=tuple(
                Piece(
                    p["turn"],
                    p["label"],
                    p["text"],
                    None if p["spans"] is None else tuple(Span(*s) for s in p["spans"]),
                    tuple(ScoredSpan(*u) for u in p["units"]),
                )
                for p in data["pieces"]
            ),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInputError(f"This is no gist: {error!r}.", hint="Write gists with gist_to_json.") from error
