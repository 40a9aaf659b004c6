"""What the caller protects: regular expressions and spans to character spans of each passage."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from gist_core.errors import InvalidInputError
from gist_core.passage import Passage, Span, merge_spans

KeepItem = str | re.Pattern[str] | Span

_FORMS = "Pass a regular expression (str or compiled), or a Span(start, end)."


def resolve_keep(passages: Sequence[Passage], keep: Sequence[KeepItem]) -> list[list[Span]]:
    """The spans of each passage that must stay: sorted, disjoint, none empty.

    Args:
        passages: Their ``metadata["keep"]`` may add spans, as Span or ``[start, end]`` pairs.
        keep: Patterns, searched in every passage; spans only where there is exactly one passage.

    Raises:
        InvalidInputError: a pattern does not compile, a span lies outside its passage or cannot be attributed to one,
            or an item has another type.
    """
    patterns, spans = _sorted_out(keep)
    if spans and len(passages) != 1:
        raise InvalidInputError(
            f"keep has the span {tuple(spans[0])}, but the call has {len(passages)} passages.",
            hint='Put spans into each passage\'s metadata["keep"], or pass patterns.',
        )
    return [_of_passage(passage, patterns, spans) for passage in passages]


def _sorted_out(keep: Sequence[KeepItem]) -> tuple[list[re.Pattern[str]], list[Any]]:
    if isinstance(keep, str | bytes | re.Pattern) or not isinstance(keep, Iterable):
        raise InvalidInputError(f"keep is a single {type(keep).__name__}.", hint="Pass a list, such as keep=[r'\\d+'].")
    if isinstance(keep, Span):
        raise InvalidInputError(f"keep is the single span {tuple(keep)}.", hint="Pass a list: keep=[Span(start, end)].")
    patterns: list[re.Pattern[str]] = []
    spans: list[Any] = []
    for item in keep:
        if isinstance(item, str | bytes | re.Pattern):
            patterns.append(_compiled(item))
        elif isinstance(item, tuple):
            spans.append(item)
        else:
            raise InvalidInputError(f"keep has an item of type {type(item).__name__}: {item!r}.", hint=_FORMS)
    return patterns, spans


def _compiled(item: str | bytes | re.Pattern[Any]) -> re.Pattern[str]:
    try:
        pattern: re.Pattern[Any] = re.compile(item)
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidInputError(
            f"keep has the pattern {item!r}, which is not a regular expression: {error}.",
            hint="Mend it, or use re.escape() to keep the literal text.",
        ) from error
    if not isinstance(pattern.pattern, str):
        raise InvalidInputError(
            f"keep has the pattern {pattern.pattern!r}, which searches bytes.", hint="Pass a str pattern."
        )
    return pattern


def _of_passage(passage: Passage, patterns: list[re.Pattern[str]], spans: list[Any]) -> list[Span]:
    where = f"keep of passage {passage.id!r}"
    size = len(passage.text)
    found = [_checked(item, size, where) for item in [*spans, *_own(passage, where)]]
    found += [Span(*match.span()) for pattern in patterns for match in pattern.finditer(passage.text)]
    return merge_spans(found)


def _own(passage: Passage, where: str) -> list[Any]:
    """The spans in the passage's metadata."""
    own = passage.metadata.get("keep")
    if own is None:
        return []
    if isinstance(own, str | bytes | Span) or not isinstance(own, Sequence):
        raise InvalidInputError(f"{where}: metadata['keep'] is {own!r}.", hint="Give a list of [start, end] pairs.")
    return list(own)


def _checked(item: Any, size: int, where: str) -> Span:  # whatever the caller's metadata holds
    pair = tuple(item) if isinstance(item, list | tuple) else ()
    if len(pair) != 2 or not all(isinstance(at, int) and not isinstance(at, bool) for at in pair):
        raise InvalidInputError(f"{where}: {item!r} is not a span.", hint="Give [start, end] as two integers.")
    start, end = pair
    if not 0 <= start <= end <= size:
        raise InvalidInputError(
            f"{where}: the span {pair} lies outside the text, which has {size} characters.",
            hint="Give 0 <= start <= end <= len(text).",
        )
    return Span(start, end)
