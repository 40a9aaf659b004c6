"""Turns as pieces, and the choice among them: what of each turn enters a gist of a given size."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from gist_core.allocation import Unit, allocate
from gist_core.budget import Budget
from gist_core.memory.gist import Piece, quote
from gist_core.memory.turns import Turn
from gist_core.passage import ScoredSpan, Span, merge_spans, render
from gist_core.segment import words
from gist_core.tokens import TokenCounter

_JOINT = ": "
_BREAK = re.compile(r"\s+")


def speaker(turn: Turn) -> str:
    """Who speaks, on one line, with the names of the parts that are no text: ``user Ann [image]``."""
    words = [
        turn.role if turn.role != "tool" or not turn.name else "",
        turn.name or "",
        *(f"[{o}]" for o in turn.opaque),
    ]
    return _BREAK.sub(" ", " ".join(word for word in words if word))


def pieces_of(turn: Turn, id_: str, result: str | None = None) -> list[Piece]:
    """A turn as pieces without units: its content, then each call; what is empty gives none.

    Args:
        turn: The turn.
        id_: Its id in the conversation.
        result: A shortened form of the content that can be kept only as a whole.
    """
    who = speaker(turn)
    found = []
    if turn.role == "tool":
        who = f"{who} returned"
    if result is not None:
        found.append(Piece(id_, who, result, None, ()))
    elif turn.content.strip() or turn.opaque:
        found.append(Piece(id_, who, turn.content, (Span(0, len(turn.content)),), ()))
    calls = (Piece(id_, f"{who} called", f"{call.name}({call.arguments})", None, ()) for call in turn.tool_calls)
    return [*found, *calls]


def choose(pieces: Sequence[Piece], tokens: int, counter: TokenCounter) -> list[Piece]:
    """The best of the pieces in about ``tokens`` tokens of transcript, labels counted; in their order.

    Sentences first; of one that does not fit, a stretch of its words. A piece without spans stays whole or goes.
    """
    if tokens <= 0 or not pieces:
        return []
    starts, transcript = _transcript(pieces)
    units = [unit for piece, start in zip(pieces, starts, strict=True) for unit in _units(piece, start)]
    whole = {
        unit.span
        for piece, start in zip(pieces, starts, strict=True)
        if piece.spans is None
        for unit in _units(piece, start)
    }

    def finer(_: int, unit: Unit) -> list[Unit]:
        if unit.span in whole:
            return []
        return [Unit(span, unit.score, unit.requires) for span in words(transcript, unit.span)]

    budget = Budget(tokens=tokens, tokenizer=counter)
    kept = allocate([transcript], [units], budget, counter, finer=finer).kept[0]
    found = (_cut(piece, start, kept) for piece, start in zip(pieces, starts, strict=True))
    return [piece for piece in found if piece is not None]


def written(pieces: Sequence[Piece]) -> str:
    """The pieces as the model reads them, each behind its label, quoted."""
    return "\n".join(quote(piece.label, piece.text) for piece in pieces)


def _transcript(pieces: Sequence[Piece]) -> tuple[list[int], str]:
    """Where each piece begins, and the text of all, one line a piece."""
    starts, at, lines = [], 0, []
    for piece in pieces:
        line = f"{piece.label}{_JOINT}{piece.text}"
        starts.append(at)
        lines.append(line)
        at += len(line) + 1
    return starts, "\n".join(lines)


def _body(piece: Piece, start: int) -> int:
    return start + len(piece.label) + len(_JOINT)


def _units(piece: Piece, start: int) -> list[Unit]:
    """The units of a piece in the transcript; each brings the label along. A turn without text is its label."""
    body, label = _body(piece, start), Span(start, start + len(piece.label) + 1)
    if not piece.units:
        return [Unit(label, 0.0)]
    return [Unit(Span(body + u.start, body + u.end), u.score, (label,)) for u in piece.units]


def _cut(piece: Piece, start: int, kept: Sequence[Span]) -> Piece | None:
    """What ``kept`` leaves of a piece; None if nothing."""
    body, end = _body(piece, start), _body(piece, start) + len(piece.text)
    local = merge_spans((max(s, body) - body, min(e, end) - body) for s, e in kept if s < end and e > body)
    if not local:
        labelled = any(s <= start < e for s, e in kept)
        return piece if labelled and not piece.units else None
    if piece.spans is None:
        return piece
    text = render(piece.text, local)
    return replace(piece, text=text, spans=_sources(piece.spans, piece.text, local), units=_kept_units(piece, local))


def _sources(spans: Sequence[Span], text: str, local: Sequence[Span]) -> tuple[Span, ...]:
    """Spans of a rendered text as spans of the source it was rendered from."""
    found, at = [], 0
    for start, end in spans:
        size = end - start
        for a, b in local:
            low, high = max(a, at), min(b, at + size)
            if low < high:
                found.append(Span(start + low - at, start + high - at))
        at += size + 1  # render puts one character between slices
    return tuple(merge_spans(found))


def _kept_units(piece: Piece, local: Sequence[Span]) -> tuple[ScoredSpan, ...]:
    """The units, or what is left of them, at their places in the new text."""
    found, at = [], 0
    for start, end in local:
        for unit in piece.units:
            low, high = max(unit.start, start), min(unit.end, end)
            if low < high:
                found.append(ScoredSpan(at + low - start, at + high - start, unit.score))
        at += end - start + 1
    return tuple(sorted(found))
