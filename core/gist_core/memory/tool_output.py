"""What becomes of a tool's result that is too long: JSON stays JSON and says what it lost, other text is compressed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from gist_core.budget import Budget
from gist_core.compressor import TextCompressor
from gist_core.passage import Passage
from gist_core.segment.values import CJK, GLUE
from gist_core.tokens import TokenCounter

MAX_DEPTH = 64
"""Arrays and objects nested deeper are left out where a JSON text is shortened."""

_LONG, _SHORT = 160, 40  # characters of a string: what is cut before arrays are, and what is left of it in the end
_FEW = 3  # items of an array that stay until its strings are short
_LEFT_OUT = "[left out]"
_GONE = r"(?:(?P<gone>[\d,]{1,20}) of )?(?P<total>[\d,]{1,20})"
_ITEMS_NOTE = re.compile(rf"\[{_GONE} items? left out\]")
_ENTRIES_NOTE = re.compile(rf"{_GONE} entr(?:y|ies)")
_TEXT_NOTE = re.compile(r"(?:\u2026 )?\[(?P<gone>[\d,]{1,20}) characters? left out\]\Z")
_LONGEST_NOTE = 50  # characters
_CLUSTER = 16  # characters; an emoji of a whole family has eleven
_SURROGATE = re.compile("[\ud800-\udfff]")
_WIDE = re.compile(f"[{CJK}]")
_GLUED = re.compile(f"[{GLUE}]")


def shorten_result(
    text: str, limit: int, counter: TokenCounter, compressor: TextCompressor, query: str | None = None
) -> str:
    """A tool's result in at most ``limit`` tokens, with a word on what was left out.

    Args:
        text: The result. JSON is shortened by ``shorten_json``, any other text by the compressor.
        limit: Tokens, 0 or more.
        counter: Counts them.
        compressor: Chooses what is kept of a text that is not JSON.
        query: What the reader wants to know; None for no question in particular.

    Returns:
        The text itself where it fits. A compressed text ends with a line such as
        ``[shortened: 512 of 8,123 tokens kept]``, unless the limit is too small for it.

    Raises:
        GistError: The compressor failed.
    """
    tokens = counter.count(text)
    if tokens <= limit:
        return text
    shortened = shorten_json(text, limit, counter)
    if shortened is not None:
        return shortened
    reserve = counter.count(f"\n{_kept_note(limit, tokens)}")
    if 2 * reserve > limit:
        return _compressed(text, limit, counter, compressor, query)
    body = _compressed(text, limit - reserve, counter, compressor, query)
    noted = f"{body}\n{_kept_note(counter.count(body), tokens)}".lstrip("\n")
    return noted if counter.count(noted) <= limit else body


def _kept_note(kept: int, tokens: int) -> str:
    return f"[shortened: {kept:,} of {tokens:,} tokens kept]"


def _compressed(text: str, limit: int, counter: TokenCounter, compressor: TextCompressor, query: str | None) -> str:
    budget = Budget(tokens=limit, tokenizer=counter)
    return compressor.compress([Passage("result", text)], query=query, budget=budget)[0].text


def shorten_json(text: str, limit: int, counter: TokenCounter) -> str | None:
    """A JSON array or object in at most ``limit`` tokens, still JSON, with notes in place of what was left out.

    Long strings lose their ends first, then long arrays, then objects their entries, the deepest first. What stays,
    stays as it was written: numbers, keys, duplicate keys; only escapes may be written as characters. A text that
    was shortened before keeps its account.

    Args:
        text: Any text.
        limit: Tokens.
        counter: Counts them.

    Returns:
        None if the text is no JSON array or object (or is nested too deep to read); the text itself if it fits; else
        compact JSON. Where nothing fits, the smallest there is: ``["[14 items left out]"]``,
        ``{"[left out]":"9 entries"}``, or the text if that is smaller still.
    """
    data = _parse(text)
    if data is None or counter.count(text) <= limit:
        return None if data is None else text
    builder = _Builder()
    root = builder.group(data, 1)
    best = _weakest_that_fits(root, limit, counter, _steps(builder))
    if best is not None:
        return best
    # nothing fits: the note alone, unless the text is so small that the note is longer
    return min((root.smallest(), root.write(_WHOLE, 1), text), key=counter.count)


class _Literal(str):
    """A number as the source writes it."""

    __slots__ = ()


_Data = list[Any] | tuple[tuple[str, Any], ...]  # an array, or the entries of an object


def _parse(text: str) -> _Data | None:
    if not text.lstrip(" \t\n\r").startswith(("[", "{")):
        return None
    try:
        data: _Data = json.loads(
            text, parse_int=_Literal, parse_float=_Literal, parse_constant=_Literal, object_pairs_hook=tuple
        )
    except (ValueError, RecursionError):
        return None
    return data


@dataclass(frozen=True, slots=True)
class _Strength:
    """How much is left out.

    Args:
        characters: What a string keeps.
        items: What an array keeps.
        level: Arrays and objects deeper than this keep nothing; the outermost is at 1.
        entries: What objects at this level keep.
    """

    characters: float
    items: float
    level: float
    entries: float


_WHOLE = _Strength(math.inf, math.inf, math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class _Text:
    """A string that may be cut; ``lost`` characters were left out before, of which ``written`` tells."""

    value: str
    lost: int
    written: str

    @property
    def size(self) -> int:
        """Characters, written whole."""
        return len(self.written)

    def write(self, strength: _Strength) -> str:
        if len(self.value) <= strength.characters:
            return self.written
        kept = self.value[: _word_end(self.value, int(strength.characters))].rstrip()
        note = f"\u2026 [{_number(len(self.value) - len(kept) + self.lost, 'character')} left out]"
        cut = _dump(kept + note)
        return cut if len(cut) < len(self.written) else self.written


@dataclass(frozen=True, slots=True)
class _Group:
    """An array, or an object where ``note_key`` is set. ``lost`` items were left out before.

    ``heads`` are the written keys, each with its colon; ``sizes`` are the characters of each item written whole, with
    its head and a comma.
    """

    heads: list[str]
    items: list[_Node]
    sizes: list[int]
    lost: int
    note_key: str | None

    @property
    def size(self) -> int:
        """Characters, written whole."""
        return sum(self.sizes) + 2

    def write(self, strength: _Strength, level: int) -> str:
        count = len(self.items)
        kept = self._kept(strength, level)
        if not self.lost and kept < count and sum(self.sizes[kept:]) <= len(self.note(kept)):
            kept = count  # a note would be longer than what it stands for
        parts = [
            head + (item if isinstance(item, str) else _write(item, strength, level + 1))
            for head, item in zip(self.heads[:kept], self.items[:kept], strict=True)
        ]
        if count - kept + self.lost:
            parts.append(self.note(kept))
        return self._enclose(",".join(parts))

    def smallest(self) -> str:
        return self._enclose(self.note(0) if self.items or self.lost else "")

    def note(self, kept: int) -> str:
        """What says that all but the first ``kept`` items are gone."""
        total = len(self.items) + self.lost
        gone = f"{total - kept:,} of " if kept else ""
        if self.note_key is None:
            return _dump(f"[{gone}{_number(total, 'item')} left out]")
        return f"{self.note_key}{_dump(gone + _number(total, 'entry'))}"

    def _kept(self, strength: _Strength, level: int) -> int:
        if level > strength.level:
            return 0
        most = strength.items if self.note_key is None else strength.entries if level == strength.level else math.inf
        return int(min(most, len(self.items)))

    def _enclose(self, inner: str) -> str:
        return f"[{inner}]" if self.note_key is None else f"{{{inner}}}"


_Node = str | _Text | _Group  # a str is a value as it will be written


def _write(node: _Text | _Group, strength: _Strength, level: int) -> str:
    return node.write(strength) if isinstance(node, _Text) else node.write(strength, level)


@dataclass(slots=True)
class _Builder:
    """Makes the nodes of a JSON text, and learns the longest of each kind: there shortening begins."""

    characters: int = 0
    items: int = 0
    entries: list[int] = field(default_factory=list)  # by level

    def group(self, data: _Data, level: int) -> _Group:
        """The node of an array or object at this level."""
        while len(self.entries) < level:
            self.entries.append(0)
        if isinstance(data, tuple):
            pairs, lost, note_key = _entries(data)
            self.entries[level - 1] = max(self.entries[level - 1], len(pairs))
            heads = [f"{_dump(key)}:" for key, _ in pairs]
            return self._group(heads, [value for _, value in pairs], lost, note_key, level)
        values, lost = _items(data)
        self.items = max(self.items, len(values))
        return self._group([""] * len(values), values, lost, None, level)

    def _group(self, heads: list[str], values: list[Any], lost: int, note_key: str | None, level: int) -> _Group:
        items = [self._node(value, level + 1) for value in values]
        sizes = [len(head) + _size(item) + 1 for head, item in zip(heads, items, strict=True)]
        return _Group(heads, items, sizes, lost, note_key)

    def _node(self, value: Any, level: int) -> _Node:
        if isinstance(value, _Literal):
            return str(value)
        if isinstance(value, str):
            return self._text(value)
        if not isinstance(value, list | tuple):
            return json.dumps(value)
        if not value or level > MAX_DEPTH:
            return _left_out(value)
        return self.group(value, level)

    def _text(self, value: str) -> _Node:
        written = _dump(value)
        if len(value) <= _SHORT:
            return written
        lost = 0
        if found := _TEXT_NOTE.search(value, max(0, len(value) - _LONGEST_NOTE)):
            value, lost = value[: found.start()], _amount(found["gone"])
        self.characters = max(self.characters, len(value))
        return _Text(value, lost, written)


def _left_out(data: _Data) -> str:
    """An array or object of which nothing is left but its length."""
    if isinstance(data, tuple):
        pairs, lost, note_key = _entries(data)
        return _Group([], [], [], lost + len(pairs), note_key).smallest()
    values, lost = _items(data)
    return _Group([], [], [], lost + len(values), None).smallest()


def _items(values: list[Any]) -> tuple[list[Any], int]:
    """The items of an array without a note at their end, and the number it tells of."""
    last = values[-1] if values else None
    lost = _told(_ITEMS_NOTE, last, len(values) - 1)
    return (values[:-1], lost) if lost else (values, 0)


def _entries(pairs: tuple[tuple[str, Any], ...]) -> tuple[tuple[tuple[str, Any], ...], int, str]:
    """As ``_items``, of an object; and the written key of its note, with the colon: none of its own keys."""
    key, last = pairs[-1] if pairs else ("", None)
    taken = {own for own, _ in pairs[:-1]}
    lost = _told(_ENTRIES_NOTE, last, len(pairs) - 1) if _LEFT_OUT in key and key not in taken else 0
    if lost:
        return pairs[:-1], lost, f"{_dump(key)}:"
    taken.add(key)
    key = _LEFT_OUT
    while key in taken:
        key = f"[{key}]"
    return pairs, 0, f"{_dump(key)}:"


def _told(pattern: re.Pattern[str], note: object, kept: int) -> int:
    """How many were left out before, by a note behind ``kept`` others; 0 if it is none or does not add up."""
    found = pattern.fullmatch(note) if isinstance(note, str) and len(note) <= _LONGEST_NOTE else None
    if found is None:
        return 0
    total = _amount(found["total"])
    gone = _amount(found["gone"]) if found["gone"] else total
    return gone if gone + kept == total else 0


def _weakest_that_fits(root: _Group, limit: int, counter: TokenCounter, steps: list[_Strength]) -> str | None:
    """What the first of the steps leaves that fits, each being stronger than the one before."""
    best, low, high = None, 0, len(steps)
    while low < high:
        middle = (low + high) // 2
        written = root.write(steps[middle], 1)
        if counter.count(written) <= limit:
            best, high = written, middle
        else:
            low = middle + 1
    return best


def _steps(longest: _Builder) -> list[_Strength]:
    """From compact and whole to a single entry of the outermost object."""
    deepest = len(longest.entries)
    steps = [_Strength(math.inf, math.inf, deepest, math.inf)]
    for name, high, low in (
        ("characters", longest.characters, _LONG),
        ("items", longest.items, _FEW),
        ("characters", min(longest.characters, _LONG), _SHORT),
        ("items", min(longest.items, _FEW), 1),
    ):
        steps += [replace(steps[-1], **{name: amount}) for amount in _down(high, low)]
    for level in range(deepest, 0, -1):
        steps.append(replace(steps[-1], level=level, entries=math.inf))
        steps += [replace(steps[-1], entries=amount) for amount in _down(longest.entries[level - 1], 1)]
    return steps


def _down(high: int, low: int) -> Iterator[int]:
    """Whole numbers under ``high`` down to ``low``, in steps of a sixteenth while they are large."""
    while high > low:
        high = max(low, min(high - 1, high * 15 // 16))
        yield high


def _word_end(value: str, limit: int) -> int:
    """Where the last word ends that is whole within ``limit`` characters; of a single long word, ``limit``."""
    if not _WIDE.match(value, limit):
        blank = max(value.rfind(mark, 0, limit + 1) for mark in " \n\t")
        if blank > 0:
            return blank
    whole = (at for at in range(limit, max(0, limit - _CLUSTER), -1) if not _is_glued(value, at))
    return next(whole, limit)


def _is_glued(value: str, at: int) -> bool:
    """Whether a cut here would fall into a character."""
    return _GLUED.match(value, at) is not None or value[at - 1] == "\u200d"


def _dump(value: str) -> str:
    """A string as JSON: characters as they are, but for what cannot be encoded."""
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(value, ensure_ascii=False))


def _size(node: _Node) -> int:
    return len(node) if isinstance(node, str) else node.size


def _number(amount: int, noun: str) -> str:
    """The amount with its noun in the right number: "1 entry", "2 entries"."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{amount:,} {noun if amount == 1 else plural}"


def _amount(written: str) -> int:
    return int(written.replace(",", "") or 0)
