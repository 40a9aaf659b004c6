"""What becomes of a tool's result that is too long: JSON stays JSON, other text is compressed; both say so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from gist_core.budget import Budget
from gist_core.compressor import TextCompressor
from gist_core.passage import Passage
from gist_core.tokens import TokenCounter

_DEEPEST = 64
_LEFT_OUT = "left out"


class _Raw(str):
    """A number as it was written."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Limits:
    """How much of a value is written: characters of a string, items of an array, entries of an object, depth."""

    characters: int
    items: int
    entries: int
    depth: int


# From mild to strong: long strings give way first, then long arrays, then deep values, then entries.
_STRINGS = [2_000, 1_000, 500, 250, 120, 80]
_ITEMS = [500, 250, 120, 60, 30, 15, 8, 5, 3, 2, 1]
_STEPS = [
    *(_Limits(size, 1_000, 1_000, _DEEPEST) for size in _STRINGS),
    *(_Limits(80, items, 10 * items + 20, _DEEPEST) for items in _ITEMS),
    *(_Limits(60, 1, 24, depth) for depth in (6, 4, 3, 2)),
    *(_Limits(40, 1, entries, 2) for entries in (16, 12, 8, 6, 4, 3, 2, 1)),
    _Limits(24, 1, 1, 1),
]


def shorten_json(text: str, limit: int, counter: TokenCounter) -> str | None:
    """A JSON array or object in at most ``limit`` tokens; None if the text is neither.

    What is left out is named in its place: an array ends in ``"[12 of 14 items left out]"``, an object in
    ``"[left out]":"37 of 40 entries"``, a long string in ``… [812 characters left out]``. Numbers, keys and short
    strings stay as they were written, or go. Where not even the smallest form fits, that form is given.

    Args:
        text: A tool's result.
        limit: Tokens.
        counter: Counts them.

    Example:
        >>> from gist_core.tokens import token_counter
        >>> shorten_json('[1.10, 2, 3, 4, 5, 6, 7, 8, 9]', 20, token_counter("o200k_base"))
        '[1.10,"[8 of 9 items left out]"]'
    """
    value = _parsed(text)
    if value is None:
        return None
    if counter.count(text) <= limit:
        return text
    low, high = 0, len(_STEPS)
    best = _smallest(value)
    while low < high:
        middle = (low + high) // 2
        written = "".join(_write(value, _STEPS[middle], 0))
        if counter.count(written) <= limit:
            best, high = written, middle
        else:
            low = middle + 1
    return best


def shorten_result(
    text: str, limit: int, counter: TokenCounter, compressor: TextCompressor, query: str | None = None
) -> str:
    """A tool's result in at most ``limit`` tokens: JSON as ``shorten_json``, other text by the compressor.

    The last line of a compressed text says how much of it was kept, where there is room for that. Text that fits
    comes back as it is.

    Raises:
        CompressionError: The model failed.
    """
    size = counter.count(text)
    if size <= limit:
        return text
    shorter = shorten_json(text, limit, counter)
    if shorter is not None:
        return shorter
    note = f"\n[shortened: a part of {size:,} tokens]"
    room = limit - counter.count(note) - 1
    if room < limit // 2:
        note, room = "", limit
    found = compressor.compress([Passage("result", text)], query=query, budget=Budget(tokens=room, tokenizer=counter))
    return f"{found[0].text}{note}" if found[0].text else ""


def _parsed(text: str) -> object:
    """The value, numbers as they stand, objects as ``_Pairs``; None for all but arrays and objects."""
    if text.lstrip()[:1] not in {"[", "{"}:
        return None
    try:
        return json.loads(text, parse_int=_Raw, parse_float=_Raw, parse_constant=_Raw, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None


class _Pairs(list[tuple[str, object]]):
    """An object's entries in order; keys may stand twice."""


def _write(value: object, limits: _Limits, depth: int) -> Iterator[str]:
    if isinstance(value, _Pairs):
        yield from _write_object(value, limits, depth)
    elif isinstance(value, list):
        yield from _write_array(value, limits, depth)
    elif isinstance(value, _Raw):
        yield value
    elif isinstance(value, str):
        yield _quoted(_short(value, limits.characters))
    else:
        yield json.dumps(value)


def _write_array(items: list[object], limits: _Limits, depth: int) -> Iterator[str]:
    if depth >= limits.depth and items:
        yield _smallest(items)
        return
    kept = min(len(items), limits.items)
    parts = ["".join(_write(item, limits, depth + 1)) for item in items[:kept]]
    if kept < len(items):
        parts.append(_quoted(f"[{len(items) - kept} of {len(items)} items {_LEFT_OUT}]"))
    yield f"[{','.join(parts)}]"


def _write_object(entries: _Pairs, limits: _Limits, depth: int) -> Iterator[str]:
    if depth >= limits.depth and entries:
        yield _smallest(entries)
        return
    kept = min(len(entries), limits.entries)
    parts = [f"{_quoted(key)}:{''.join(_write(value, limits, depth + 1))}" for key, value in entries[:kept]]
    if kept < len(entries):
        note = f"{len(entries) - kept} of {len(entries)} entries"
        parts.append(f"{_quoted(_note_key(entries))}:{_quoted(note)}")
    yield f"{{{','.join(parts)}}}"


def _smallest(value: object) -> str:
    if isinstance(value, _Pairs):
        return f"{{{_quoted(_note_key(value))}:{_quoted(f'{len(value)} entries')}}}" if value else "{}"
    assert isinstance(value, list)  # noqa: S101 - arrays and objects are all that is shortened
    return f"[{_quoted(f'[{len(value)} items {_LEFT_OUT}]')}]" if value else "[]"


def _note_key(entries: _Pairs) -> str:
    """A key that none of the entries has."""
    keys = {key for key, _ in entries}
    key = f"[{_LEFT_OUT}]"
    while key in keys:
        key = f"[{key}]"
    return key


def _short(text: str, most: int) -> str:
    """The text, or its beginning up to a whole word, with what is left out."""
    note = 32  # characters; a string that is hardly longer stays whole
    if len(text) <= most + note:
        return text
    cut = text.rfind(" ", most // 2, most + 1)
    kept = text[: cut if cut > 0 else most].rstrip()
    return f"{kept}… [{len(text) - len(kept):,} characters {_LEFT_OUT}]"


def _quoted(text: str) -> str:
    """A JSON string; lone surrogates are escaped, other characters stand for themselves."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(text)
    return json.dumps(text, ensure_ascii=False)
