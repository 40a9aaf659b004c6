"""``gist compress``: files or standard input in, the compressed text out."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gist_core.budget import Budget
from gist_core.cli.console import clear_errors, say, working, write_file, write_out
from gist_core.cli.inputs import check_page, read_passages
from gist_core.errors import InvalidInputError
from gist_core.highlight import Account, to_page
from gist_core.loading import load_compressor
from gist_core.passage import Compressed, Passage
from gist_core.settings import check_threshold
from gist_core.tokens import token_counter


class Scope(StrEnum):
    """Whether the passages share one budget or each has its own."""

    TOTAL = "total"
    EACH = "each"


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One call, ready to be shown."""

    passages: Sequence[Passage]
    results: Sequence[Compressed]
    text: str
    account: Account
    query: str | None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no number. Write a quarter as 0.25.") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no whole number.") from None


def compress(
    files: Annotated[
        list[str] | None, typer.Argument(help="Text files in UTF-8; '-' or none at all: standard input.")
    ] = None,
    *,
    query: Annotated[str | None, typer.Option("--query", "-q", help="The question to compress around.")] = None,
    tokens: Annotated[
        int | None, typer.Option("--tokens", "-n", parser=_whole, metavar="N", help="At most this many tokens in all.")
    ] = None,
    ratio: Annotated[
        float | None,
        typer.Option("--ratio", "-r", parser=_number, metavar="R", help="At most this share of the tokens, 0-1."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(parser=_number, metavar="T", help="Only what scores above this.")
    ] = None,
    scope: Annotated[Scope, typer.Option(help="One budget for all files, or one for each.")] = Scope.TOTAL,
    tokenizer: Annotated[str, typer.Option(help="What counts: a tiktoken encoding or a model name.")] = "o200k_base",
    keep: Annotated[
        list[str] | None, typer.Option(help="A regular expression whose matches must stay; may be repeated.")
    ] = None,
    model: Annotated[str, typer.Option(help="'default', a folder, or a hub id.")] = "default",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    html: Annotated[Path | None, typer.Option(help="Also write a page that shows kept and dropped text.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print ids, texts, kept spans, scores and usage.")] = False,
) -> None:
    """Print the parts of a text that matter to a question, within a token budget.

    The text goes to standard output, one line of account (tokens in and out, time) to standard error.
    """
    with clear_errors():
        budget = _budget(tokens=tokens, ratio=ratio, threshold=threshold, scope=scope, tokenizer=tokenizer)
        check_page(html, files or [])
        passages = read_passages(files or [])
        compressor = load_compressor(model, device=device)
        with working(f"Compressing {len(passages)} passages"):
            results = compressor.compress(passages, query=query, budget=budget, keep=keep or [])
        _show(_outcome(passages, results, budget, query), html, as_json=as_json)


def _budget(
    *, tokens: int | None, ratio: float | None, threshold: float | None, scope: Scope, tokenizer: str
) -> Budget:
    if tokens is None and ratio is None and threshold is None:
        raise InvalidInputError("No size given.", hint="Add --tokens N, --ratio R or --threshold T.")
    check_threshold(threshold)
    return Budget(tokens=tokens, ratio=ratio, threshold=threshold, scope=scope.value, tokenizer=tokenizer)


def _outcome(passages: Sequence[Passage], results: Sequence[Compressed], budget: Budget, query: str | None) -> _Outcome:
    counter = token_counter(budget.tokenizer)
    text = budget.separator.join(result.text for result in results if result.text)
    source = budget.separator.join(passage.text for passage in passages if passage.text)
    milliseconds = max((result.usage.milliseconds for result in results), default=0.0)
    account = Account(counter.count(source), counter.count(text), milliseconds, counter.name)
    return _Outcome(passages, results, text, account, query)


def _show(outcome: _Outcome, html: Path | None, *, as_json: bool) -> None:
    if html is not None:
        sources = [passage.text for passage in outcome.passages]
        write_file(html, to_page(outcome.results, sources, query=outcome.query, account=outcome.account))
    say(str(outcome.account))
    write_out(json.dumps(_as_json(outcome), ensure_ascii=False, indent=2) if as_json else outcome.text)


def _as_json(outcome: _Outcome) -> dict[str, Any]:
    account = outcome.account
    return {
        "text": outcome.text,
        "query": outcome.query,
        "usage": {
            "tokens_in": account.tokens_in,
            "tokens_out": account.tokens_out,
            "milliseconds": round(account.milliseconds, 1),
            "tokenizer": account.tokenizer,
        },
        "passages": [_passage_json(result) for result in outcome.results],
    }


def _passage_json(result: Compressed) -> dict[str, Any]:
    return {
        "id": result.source_id,
        "text": result.text,
        "kept": None if result.kept is None else [[span.start, span.end] for span in result.kept],
        "score": result.score if math.isfinite(result.score) else None,
        "usage": {"tokens_in": result.usage.tokens_in, "tokens_out": result.usage.tokens_out},
        "source_hash": result.source_hash,
        "model": result.model,
    }
