"""``gist compact``: a conversation in, the same conversation within a token limit out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from gist_core.budget import Budget
from gist_core.cli.chats import ChatFile, read_chat, to_json
from gist_core.cli.console import clear_errors, say, working, write_file, write_out
from gist_core.cli.inputs import STDIN, check_page
from gist_core.cli.messages import turns_of
from gist_core.loading import load_compressor
from gist_core.memory import Compaction, ConversationCompactor, MemoryPolicy, Piece, Recall, Turn
from gist_core.memory.page import account, to_page
from gist_core.tokens import token_counter


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One call, ready to be shown."""

    chat: ChatFile
    turns: Sequence[Turn]
    compaction: Compaction
    recall: Recall | None
    tokenizer: str

    def view(self) -> list[str]:
        """The JSON of each message of the view; what stays word for word is the text of the file."""
        shown = zip(self.compaction.turns, self.compaction.origin, strict=True)
        return [
            self.chat.messages[origin].text if origin is not None else to_json(_gist_message(turn))
            for turn, origin in shown
        ]


def compact(
    file: Annotated[
        str | None,
        typer.Argument(help="Chat messages: JSON lines, a JSON array, or an object with 'messages'; '-': stdin."),
    ] = None,
    *,
    high: Annotated[int, typer.Option(help="Compact what has more tokens than this.")] = 8_000,
    low: Annotated[int | None, typer.Option(help="Compact to this many tokens; half of --high if not given.")] = None,
    keep_last: Annotated[int, typer.Option(help="So many messages at the end stay word for word.")] = 6,
    keep: Annotated[
        list[str] | None, typer.Option(help="A regular expression whose matches go into a gist first; repeatable.")
    ] = None,
    tokenizer: Annotated[str, typer.Option(help="What counts: a tiktoken encoding or a model name.")] = "o200k_base",
    model: Annotated[str, typer.Option(help="'default', a folder, or a hub id.")] = "default",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    recall: Annotated[
        str | None, typer.Option(help="Print what the shortened messages say about a question, not the conversation.")
    ] = None,
    recall_tokens: Annotated[int, typer.Option(min=1, help="At most so many tokens of that.")] = 300,
    html: Annotated[Path | None, typer.Option(help="Also write a page: what became of each message.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print view, gists, usage and recall as one object.")] = False,
) -> None:
    """Print a conversation within a token limit: old messages as gists, the rest word for word.

    Messages have role, content, tool_calls and tool_call_id, as most
    providers write them, and may have "id" and "pinned": true. An image, a
    recording or a file in a message is taken for 1,000 tokens.

    The conversation goes to standard output in the shape it came in, one line
    of account to standard error. A gist is a user's message whose "gist_of"
    names what it stands for: by id, or by position from turn-0 on.
    """
    with clear_errors():
        policy = MemoryPolicy(
            high_water=high, low_water=low, keep_last=keep_last, tokenizer=tokenizer, keep=tuple(keep or ())
        )
        check_page(html, [file or STDIN])
        chat = read_chat(file)
        turns = turns_of(chat, token_counter(tokenizer))
        memory = ConversationCompactor(policy, compressor=load_compressor(model, device=device))
        with working(f"Compacting {len(turns)} messages"):
            compaction = memory.compact(turns)
            budget = Budget(tokens=recall_tokens, tokenizer=tokenizer)
            found = memory.recall(recall, budget) if recall is not None else None
        if html is not None:
            write_file(html, to_page(turns, compaction, policy, title=chat.name))
        say(account(turns, compaction))
        _print(_Outcome(chat, turns, compaction, found, token_counter(tokenizer).name), as_json=as_json)


def _print(outcome: _Outcome, *, as_json: bool) -> None:
    if as_json:
        write_out(_report(outcome))
    elif outcome.recall is not None:
        write_out(outcome.recall.text)
    else:
        write_out(outcome.chat.written(outcome.view()))


def _gist_message(turn: Turn) -> dict[str, Any]:
    of = list(turn.gist.turns) if turn.gist else []
    return {"role": turn.role, "content": turn.content, "id": turn.id, "gist_of": of}


def _report(outcome: _Outcome) -> str:
    """The object of --json; messages stand in it as they are written in the file."""
    usage, recall = outcome.compaction.usage, outcome.recall
    parts = {
        "gists": [
            {"id": gist.id, "turns": gist.turns, "text": gist.text, "pieces": _pieces_json(gist.pieces)}
            for gist in outcome.compaction.gists
        ],
        "usage": {
            "turns_in": len(outcome.turns),
            "turns_out": len(outcome.compaction.turns),
            "tokens_in": usage.tokens_in,
            "tokens_out": usage.tokens_out,
            "tokens_scored": usage.tokens_scored,
            "milliseconds": round(usage.milliseconds, 1),
            "tokenizer": outcome.tokenizer,
        },
    }
    if recall is not None:
        parts["recall"] = {"text": recall.text, "tokens": recall.tokens, "pieces": _pieces_json(recall.pieces)}
    view = ",\n  ".join(outcome.view())
    rest = "".join(f',\n"{name}": {to_json(value)}' for name, value in parts.items())
    return f'{{"view": [\n  {view}\n]{rest}}}'


def _pieces_json(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    """Spans are characters of the message's text; null where the piece is no slice of it."""
    return [
        {
            "turn": piece.turn,
            "label": piece.label,
            "text": piece.text,
            "spans": None if piece.spans is None else [[span.start, span.end] for span in piece.spans],
        }
        for piece in pieces
    ]
