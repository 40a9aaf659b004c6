"""What became of every turn of a conversation, as one self-contained page. Pure: values in, HTML out.

Nothing is loaded from anywhere, no script runs, and whatever a turn, a name or a tool's result holds is shown as text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from gist_core.highlight import dropped, escape, mark, marked_slices, only, page
from gist_core.memory.compaction import Compaction
from gist_core.memory.counting import TurnCounter
from gist_core.memory.gist import Piece
from gist_core.memory.layout import Layout
from gist_core.memory.names import named
from gist_core.memory.policy import MemoryPolicy
from gist_core.memory.turns import ToolCall, Turn
from gist_core.passage import merge_spans

_SHORT = 60  # characters of a call's arguments that stay on its line

_STYLE = """
.gist-bars { display: grid; grid-template-columns: auto minmax(0, 1fr) auto; gap: .4rem .7rem; align-items: center;
  margin: 0 0 1.1rem; font-size: .9rem; font-variant-numeric: tabular-nums; }
.gist-bar { position: relative; height: .9rem; border-radius: .25rem; background: rgba(128,128,128,.2); }
.gist-bar i { display: block; height: 100%; border-radius: .25rem; background: #7d8590; }
.gist-bar i.gist-after { background: #c98a00; }
.gist-bar b { position: absolute; top: -.2rem; bottom: -.2rem; width: 2px; margin-left: -1px; background: var(--ink); }
.gist-legend { grid-column: 2 / -1; }
.gist-run { margin: 0 0 1.25rem; padding: .8rem; border: 2px solid #c98a00; border-radius: .6rem; }
.gist-run h2 { font-size: 1.05rem; line-height: 1.4; margin: 0 0 .5rem; }
.gist-run h3 { font-size: .9rem; margin: .9rem 0 .5rem; break-after: avoid; }
.gist-turn { margin-bottom: .8rem; }
.gist-run .gist-turn:last-child { margin-bottom: 0; }
.gist-id { font-weight: 400; opacity: .68; overflow-wrap: anywhere; }
.gist-turn > header { gap: .2rem .6rem; }
.gist-turn > header > .gist-is { padding: 0 .5rem; border: 1px solid; border-radius: 1rem; font-size: .8rem; }
.gist-is.gist-pinned { background: rgba(54,130,220,.28); }
.gist-is.gist-gisted { background: rgba(255,193,7,.36); }
.gist-turn > .gist-text, .gist-code { padding: .6rem .8rem; max-height: 32rem; overflow-y: auto; }
.gist-code { white-space: pre-wrap; overflow-wrap: anywhere;
  font: .85rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.gist-code mark { color: inherit; background: rgba(255,193,7,.36); }
.gist-read { border-radius: .4rem; background: rgba(255,193,7,.12); unicode-bidi: plaintext; max-height: none; }
.gist-note { margin: 0; padding: .5rem .8rem 0; font-size: .85rem; opacity: .75; overflow-wrap: anywhere; }
.gist-note:last-child { padding-bottom: .5rem; }
body:has(#gist-only:checked) .gist-lost { display: none; }
@media print { .gist-turn > .gist-text, .gist-code { max-height: none; }
  mark, .gist-bar, .gist-bar *, .gist-is, .gist-read { -webkit-print-color-adjust: exact; print-color-adjust: exact; } }
"""


def to_page(turns: Sequence[Turn], compaction: Compaction, policy: MemoryPolicy, *, title: str) -> str:
    """A page that shows what became of each turn, each gist as the model reads it, and the account.

    Args:
        turns: The conversation as it was given to ``compact``.
        compaction: What ``compact`` gave back for it.
        policy: What it was compacted by; it counts the tokens shown.
        title: The page's title.
    """
    shown = _Shown(turns, compaction, TurnCounter(policy))
    parts = [
        f'<p class="gist-account">{escape(account(turns, compaction))}</p>',
        _bars(compaction, policy),
        only("Show only what the model reads"),
        *shown.parts(),
    ]
    return page(title, "\n".join(parts), _STYLE)


def account(turns: Sequence[Turn], compaction: Compaction) -> str:
    """One line: ``66 -> 34 turns, 4,993 -> 1,995 tokens (40.0 %), 1 gist, 812 ms``."""
    usage, gists = compaction.usage, len(compaction.gists)
    share = 100 * usage.tokens_out / usage.tokens_in if usage.tokens_in else 100.0
    return (
        f"{len(turns):,} -> {len(compaction.turns):,} {_turns(len(compaction.turns))}, "
        f"{usage.tokens_in:,} -> {usage.tokens_out:,} tokens ({share:.1f} %), "
        f"{gists:,} gist{'' if gists == 1 else 's'}, {usage.milliseconds:,.0f} ms"
    )


def _turns(number: int) -> str:
    return "turn" if number == 1 else "turns"


class _Shown:
    """A conversation with what became of it, written turn by turn."""

    def __init__(self, turns: Sequence[Turn], compaction: Compaction, counter: TurnCounter) -> None:
        self._counter = counter
        self._turns = named(turns)
        self._verbatim = {origin for origin in compaction.origin if origin is not None}
        self._gists = compaction.gists
        self._numbers = {id_: number for number, gist in enumerate(self._gists) for id_ in gist.turns}

    def parts(self) -> Iterator[str]:
        """The turns in their order, those of one gist together."""
        for number, positions in groupby(range(len(self._turns)), self._gist_of):
            if number is None:
                yield from map(self._alone, positions)
            else:
                yield from self._run(number, [self._turns[at] for at in positions])

    def _gist_of(self, position: int) -> int | None:
        """The number of the gist that stands for a turn; None for one in the view, or of which nothing is there."""
        return None if position in self._verbatim else self._numbers.get(self._turns[position].id)

    def _run(self, number: int, turns: Sequence[Turn]) -> Iterator[str]:
        gist = self._gists[number]
        tokens = f"{gist.tokens_in:,} &rarr; {self._counter.turn(Turn('user', gist.text)):,} tokens"
        yield f'<section class="gist-run"><h2>Gist {number + 1}: {len(turns):,} {_turns(len(turns))}, {tokens}</h2>'
        yield f'<h3>As the model reads it</h3><div class="gist-code gist-read">{escape(gist.text)}</div>'
        yield '<div class="gist-lost"><h3>What it stands for</h3>'
        held: dict[str, list[Piece]] = {}
        for piece in gist.pieces:
            held.setdefault(piece.turn, []).append(piece)
        for turn in turns:
            pieces = held.get(turn.id, [])
            kept = sum(self._counter.text.count_many([piece.text for piece in pieces]))
            yield self._article(turn, "gisted", _marked(turn, pieces), f" &rarr; {kept:,}")
        yield "</div></section>"

    def _alone(self, position: int) -> str:
        turn = self._turns[position]
        if position in self._verbatim:
            return self._article(turn, "pinned" if turn.pinned else "verbatim", _whole(turn, escape))
        return f'<div class="gist-lost">{self._article(turn, "dropped", _whole(turn, dropped), " &rarr; 0")}</div>'

    def _article(self, turn: Turn, state: str, body: Iterator[str], tokens_out: str = "") -> str:
        names = "".join(f'<bdi class="gist-name">{escape(it)}</bdi>' for it in (turn.role, turn.name) if it)
        notes = "".join(f'<p class="gist-note">{escape(note)}</p>' for note in _notes(turn))
        return (
            f'<article class="gist-result gist-turn"><header>{names}<span class="gist-is gist-{state}">{state}</span>'
            f'<bdi class="gist-id">{escape(turn.id)}</bdi><span>{self._counter.turn(turn):,}{tokens_out} tokens</span>'
            f"</header>{notes}{''.join(body)}</article>"
        )


def _bars(compaction: Compaction, policy: MemoryPolicy) -> str:
    """Tokens before and after on one scale, with both water marks."""
    usage = compaction.usage
    scale = 100 / max(usage.tokens_in, usage.tokens_out, policy.high_water)
    lines = "".join(f'<b style="left:{scale * tokens:.2f}%"></b>' for tokens in (policy.low, policy.high_water))
    rows = "".join(
        f'<span>{name}</span><span class="gist-bar"><i class="gist-{name}" style="width:{scale * tokens:.2f}%"></i>'
        f"{lines}</span><span>{tokens:,} tokens</span>"
        for name, tokens in (("before", usage.tokens_in), ("after", usage.tokens_out))
    )
    legend = f"The lines: low water {policy.low:,}, high water {policy.high_water:,}"
    return f'<div class="gist-bars">{rows}<span class="gist-legend">{legend}</span></div>'


def _notes(turn: Turn) -> Iterator[str]:
    if turn.tool_call_id:
        yield f"answers {turn.tool_call_id}"
    if turn.opaque:
        yield f"holds {', '.join(turn.opaque)} (taken for {turn.opaque_tokens:,} tokens), not shown here"
    if not (turn.content or turn.tool_calls or turn.opaque):
        yield "no text"


def _whole(turn: Turn, how: Callable[[str], str]) -> Iterator[str]:
    """A turn all parts of which share one fate."""
    yield _content(turn.content, how)
    yield from (_call(call, how) for call in turn.tool_calls)


def _marked(turn: Turn, pieces: Sequence[Piece]) -> Iterator[str]:
    """A turn in a gist: what the gist holds of it is marked, where it stands."""
    wholes = [piece.text for piece in pieces if piece.spans is None]  # calls, or a tool's JSON result
    if turn.role == "tool" and wholes == [turn.content]:
        yield _content(turn.content, mark)
        return
    if turn.role == "tool" and wholes:
        yield from (_content(text, mark) for text in wholes)
        yield '<p class="gist-note">shortened from</p>'
    laid = Layout(turn.content)
    kept = merge_spans(laid.span(span) for piece in pieces for span in piece.spans or () if span.start < span.end)
    yield _block(laid, "".join(marked_slices(laid.text, kept)))
    for call in turn.tool_calls:
        yield _call(call, mark if f"{call.name}({call.arguments})" in wholes else dropped)


def _content(text: str, how: Callable[[str], str]) -> str:
    laid = Layout(text)
    return _block(laid, how(laid.text))


def _block(laid: Layout, shown: str) -> str:
    kind = 'class="gist-code" dir="ltr"' if laid.is_json else 'class="gist-text" dir="auto"'
    return f"<div {kind}>{shown}</div>" if shown else ""


def _call(call: ToolCall, how: Callable[[str], str]) -> str:
    arguments = call.arguments if len(call.arguments) < _SHORT else Layout(call.arguments).text
    shown = how(f"{call.name}({arguments})")
    return f'<div class="gist-code" dir="ltr">calls {shown} <span class="gist-id">{escape(call.id)}</span></div>'


__all__ = ["account", "to_page"]
