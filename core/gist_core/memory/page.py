"""What became of every turn of a conversation, as one self-contained page. Pure: values in, HTML out.

Nothing is loaded from anywhere, no script runs, and whatever a turn, a tool or a name holds is shown as text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from gist_core.highlight import dropped, escape, mark, marked_slices, only, page
from gist_core.memory.compaction import Compaction
from gist_core.memory.counting import TurnCounter
from gist_core.memory.gist import Gist, Piece
from gist_core.memory.policy import MemoryPolicy
from gist_core.memory.turns import ToolCall, Turn, with_id
from gist_core.passage import merge_spans

_JSON_PART = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')
_BROKEN_LINES = 2  # so deep every value of a JSON text has a line of its own

_STYLE = """
.gist-bars { display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: .4rem .7rem; align-items: center;
  margin: 0 0 1.1rem; font-variant-numeric: tabular-nums; }
.gist-bar { position: relative; height: .9rem; border-radius: .25rem; background: rgba(128,128,128,.2); }
.gist-bar i { display: block; height: 100%; border-radius: .25rem; background: #7d8590; }
.gist-bar i.gist-after { background: #c98a00; }
.gist-bar b { position: absolute; top: -.2rem; bottom: -.2rem; width: 2px; margin-left: -1px; background: var(--ink); }
.gist-run { margin: 0 0 1.25rem; padding: .8rem; border: 2px solid #c98a00; border-radius: .6rem; }
.gist-run h2 { font-size: 1.05rem; line-height: 1.4; margin: 0 0 .5rem; overflow-wrap: anywhere; }
.gist-run h3 { font-size: .9rem; margin: .9rem 0 .5rem; }
.gist-run .gist-result:last-child { margin-bottom: 0; }
.gist-turn { margin-bottom: .8rem; }
.gist-turn > header { gap: .25rem .7rem; }
.gist-turn > header > .gist-is { margin-left: auto; }
.gist-is { padding: 0 .5rem; border-radius: 1rem; border: 1px solid currentcolor; font-size: .8rem; }
.gist-is.gist-pinned { background: rgba(54,130,220,.28); }
.gist-is.gist-gisted { background: rgba(255,193,7,.36); }
.gist-text, .gist-code { max-height: 32rem; overflow-y: auto; }
.gist-code { margin: 0; padding: .6rem .8rem; white-space: pre-wrap; overflow-wrap: anywhere;
  font: .85rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.gist-turn > * + .gist-code, .gist-turn > .gist-code + * { border-top: 1px solid rgba(128,128,128,.25); }
.gist-turn > header + .gist-code { border-top: 0; }
.gist-code mark { color: inherit; background: rgba(255,193,7,.36); }
.gist-read { border-radius: .4rem; background: rgba(255,193,7,.12); }
.gist-note { margin: 0; padding: .5rem .8rem 0; font-size: .85rem; opacity: .75; }
body:has(#gist-only:checked) .gist-lost { display: none; }
@media print { .gist-text, .gist-code { max-height: none; }
  mark, .gist-bar, .gist-bar *, .gist-is, .gist-read { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
"""


def to_page(turns: Sequence[Turn], compaction: Compaction, policy: MemoryPolicy, *, title: str) -> str:
    """A page that shows each turn with what became of it, each gist as the model reads it, and the account.

    Args:
        turns: The conversation as it was given to ``compact``.
        compaction: What ``compact`` gave back for it.
        policy: The policy it was compacted by; it counts the tokens shown.
        title: The page's title.
    """
    shown = _Shown(turns, compaction, TurnCounter(policy))
    runs = (shown.run(gist, list(places)) for gist, places in groupby(range(len(turns)), shown.gist_at))
    line = f"{account(turns, compaction)} · counted in {shown.counter.text.name}"
    body = [
        f'<p class="gist-account">{escape(line)}</p>',
        _bars(compaction, policy),
        only("Show only what the model reads"),
        *(html for run in runs for html in run),
    ]
    return page(title, "\n".join(body), _STYLE)


def account(turns: Sequence[Turn], compaction: Compaction) -> str:
    """``66 -> 21 turns, 4,993 -> 1,987 tokens (39.8 %), 1 gist, 812 ms``."""
    usage, gists = compaction.usage, len(compaction.gists)
    share = 100 * usage.tokens_out / usage.tokens_in if usage.tokens_in else 100.0
    return (
        f"{len(turns):,} -> {len(compaction.turns):,} turns, "
        f"{usage.tokens_in:,} -> {usage.tokens_out:,} tokens ({share:.1f} %), "
        f"{gists:,} gist{'' if gists == 1 else 's'}, {usage.milliseconds:,.0f} ms"
    )


class _Shown:
    """A conversation with what became of it, ready to be written turn by turn."""

    def __init__(self, turns: Sequence[Turn], compaction: Compaction, counter: TurnCounter) -> None:
        self.counter = counter
        self._turns = [with_id(turn, position) for position, turn in enumerate(turns)]
        self._verbatim = {origin for origin in compaction.origin if origin is not None}
        self._gists = compaction.gists
        self._numbers = {id_: number for number, gist in enumerate(self._gists) for id_ in gist.turns}

    def gist_at(self, position: int) -> int | None:
        """The number of the gist that stands for a turn; None if the turn is in the view, or nothing of it is."""
        return None if position in self._verbatim else self._numbers.get(self._turns[position].id)

    def run(self, number: int | None, positions: Sequence[int]) -> Iterator[str]:
        """Turns in a row that stand in no gist, or all in the same one."""
        if number is None:
            yield from map(self._alone, positions)
            return
        gist = self._gists[number]
        tokens = f"{gist.tokens_in:,} &rarr; {self.counter.turn(Turn('user', gist.text)):,} tokens"
        noun = "turn" if len(gist.turns) == 1 else "turns"
        yield f'<section class="gist-run"><h2>Gist {number + 1}: {len(gist.turns):,} {noun}, {tokens}</h2>'
        yield f'<h3>As the model reads it</h3><div class="gist-code gist-read" dir="auto">{escape(gist.text)}</div>'
        yield '<div class="gist-lost"><h3>What it stands for</h3>'
        yield from (self._gisted(self._turns[at], gist) for at in positions)
        yield "</div></section>"

    def _alone(self, position: int) -> str:
        turn = self._turns[position]
        body = [*_codes(turn.tool_calls, escape), _content(turn, escape)]
        if position not in self._verbatim:
            body = [*_codes(turn.tool_calls, dropped), _content(turn, dropped)]
            return self._article(turn, "not in the view", "".join(body), "gist-lost")
        return self._article(turn, "pinned" if turn.pinned else "verbatim", "".join(body))

    def _gisted(self, turn: Turn, gist: Gist) -> str:
        pieces = [piece for piece in gist.pieces if piece.turn == turn.id]
        kept = sum(self.counter.text.count(piece.text) for piece in pieces)
        return self._article(turn, "gisted", "".join(_marked(turn, pieces)), tokens_out=kept)

    def _article(self, turn: Turn, state: str, body: str, extra: str = "", tokens_out: int | None = None) -> str:
        arrow = "" if tokens_out is None else f" &rarr; {tokens_out:,}"
        names = [turn.role, turn.name or "", turn.id]
        head = "".join(f'<bdi class="gist-name">{escape(name)}</bdi>' for name in names if name)
        note = f'<p class="gist-note">{escape(_not_text(turn))}</p>' if turn.opaque or turn.tool_call_id else ""
        return (
            f'<article class="gist-result gist-turn {extra}"><header>{head}'
            f"<span>{self.counter.turn(turn):,}{arrow} tokens</span>"
            f'<span class="gist-is gist-{state.split()[0]}">{state}</span></header>{note}'
            f"{body or '<p class=\"gist-note\">No text.</p>'}</article>"
        )


def _bars(compaction: Compaction, policy: MemoryPolicy) -> str:
    """Tokens before and after, on one scale with the two marks."""
    usage = compaction.usage
    whole = max(usage.tokens_in, usage.tokens_out, policy.high_water)
    marks = "".join(f'<b style="left:{100 * mark / whole:.2f}%"></b>' for mark in (policy.low, policy.high_water))
    rows = [("before", usage.tokens_in), ("after", usage.tokens_out)]
    drawn = "".join(
        f'<span>{name}</span><span class="gist-bar"><i class="gist-{name}" style="width:{100 * tokens / whole:.2f}%">'
        f"</i>{marks}</span><span>{tokens:,} tokens</span>"
        for name, tokens in rows
    )
    legend = f"The lines: compacted above {policy.high_water:,} tokens, to {policy.low:,}."
    return f'<div class="gist-bars">{drawn}<span class="gist-legend">{legend}</span></div>'


def _marked(turn: Turn, pieces: Sequence[Piece]) -> Iterator[str]:
    """A gisted turn: what of it the gist holds, in its place."""
    whole = {piece.text for piece in pieces if piece.spans is None}
    for call in turn.tool_calls:
        yield from _codes([call], mark if f"{call.name}({call.arguments})" in whole else dropped)
    spans = merge_spans(span for piece in pieces for span in piece.spans or ())
    if turn.role == "tool" and whole:
        yield "".join(f'<div class="gist-code" dir="auto">{mark(_indented(text))}</div>' for text in whole)
    if spans:
        yield _block(turn.content, "".join(marked_slices(turn.content, spans)))
    else:
        yield _content(turn, dropped)
