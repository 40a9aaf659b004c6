"""The values that travel: what goes in (Passage), what comes out (Compressed). Standard library only."""

from __future__ import annotations

import hashlib
import re
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gist_core.errors import InvalidInputError


class Span(NamedTuple):
    """Half-open range of character offsets, ``text[start:end]``."""

    start: int
    end: int


class ScoredSpan(NamedTuple):
    """A unit that could be kept, with the score the model gave it (comparable with ``Budget.threshold``)."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Passage:
    """A text to compress.

    Args:
        id: Any string; results carry it as ``source_id``. Need not be unique.
        text: The text; never changed.
        metadata: Free; ``metadata["keep"]`` may hold ``[start, end]`` pairs that must stay, ``metadata["title"]`` the
            title of the document: it is read with every part of the text, and never part of the result.
    """

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise InvalidInputError(
                f"Passage {self.id!r} has text of type {type(self.text).__name__}.", hint="Pass a str."
            )
        if not isinstance(self.metadata, Mapping):
            raise InvalidInputError(
                f"Passage {self.id!r} has metadata of type {type(self.metadata).__name__}.",
                hint="Pass a dict, or leave it out.",
            )


@dataclass(frozen=True, slots=True)
class Usage:
    """What a result cost. Tokens are counted on this passage alone, in the budget's tokenizer.

    ``milliseconds`` is the wall time of the whole call this result came from.
    """

    tokens_in: int
    tokens_out: int
    milliseconds: float = 0.0

    @property
    def ratio(self) -> float:
        """Share of the tokens that was kept, 0 to 1; 1.0 for an empty source."""
        return self.tokens_out / self.tokens_in if self.tokens_in else 1.0


@dataclass(frozen=True, slots=True)
class Compressed:
    """A passage after compression.

    ``kept`` holds sorted, disjoint character spans of the source and ``text == render(source, kept)``;
    it is None where the text was generated or replaced. ``score`` is the relevance of the passage.
    ``units`` are all candidates with their scores, so that a threshold can be chosen.
    ``model`` names checkpoint and version; ``source_hash`` is SHA-256 of the source.
    """

    source_id: str
    text: str
    kept: tuple[Span, ...] | None
    score: float
    usage: Usage
    source_hash: str
    model: str
    units: tuple[ScoredSpan, ...] = ()

    def expand(self, source: str, characters: int = 200) -> str:
        """The kept text with up to ``characters`` of the source around each kept span, as ``render`` joins it.

        Raises:
            InvalidInputError: ``source`` is not the text this result came from, or nothing leads back to it.
        """
        kept = self.spans_in(source)
        wide = [Span(max(0, s - characters), min(len(source), e + characters)) for s, e in kept]
        return render(source, merge_spans(wide))

    def highlight(self, source: str, before: str = "**", after: str = "**") -> str:
        """The whole source with every kept span between ``before`` and ``after``.

        Raises:
            InvalidInputError: as ``expand``.
        """
        out, at = [], 0
        for start, end in self.spans_in(source):
            out += [source[at:start], before, source[start:end], after]
            at = end
        return "".join([*out, source[at:]])

    def spans_in(self, source: str) -> tuple[Span, ...]:
        """``kept``, after a check that ``source`` is the text it points into.

        Raises:
            InvalidInputError: as ``expand``.
        """
        if self.kept is None:
            raise InvalidInputError(f"Result {self.source_id!r} has no source spans.", hint="Use a selective model.")
        if hash_text(source) != self.source_hash:
            raise InvalidInputError(
                f"The text given is not the source of result {self.source_id!r}.", hint="Pass the passage's own text."
            )
        return self.kept

    def _repr_html_(self) -> str:
        """What a notebook shows: the kept text with score and tokens; ``gist_core.highlight`` shows the source too."""
        from gist_core.highlight import to_html

        return to_html(self)


def hash_text(text: str) -> str:
    """SHA-256 of the text in hex; lone surrogates are hashed too."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def merge_spans(spans: Iterable[Span | tuple[int, int]]) -> list[Span]:
    """Sorted, disjoint spans covering the same characters; touching spans become one, empty ones vanish."""
    merged: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if merged and start <= merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, end))
        else:
            merged.append(Span(start, end))
    return merged


def render(source: str, kept: Iterable[Span | tuple[int, int]], breaks: Sequence[int] | None = None) -> str:
    r"""The kept slices of ``source`` in order, joined by ``"\n"`` where the gap held one, else by a space.

    ``breaks`` is what ``line_breaks`` finds: with it the work does not grow with the gaps, for many renderings of one
    long source.
    """
    return "".join(_pieces(source, merge_spans(kept), breaks))


def line_breaks(source: str) -> Sequence[int]:
    r"""Where the ``"\n"`` of a text stand."""
    return array("q", (found.start() for found in re.finditer("\n", source)))


def _pieces(source: str, spans: list[Span], breaks: Sequence[int] | None) -> Iterator[str]:
    at = None
    for start, end in spans:
        if at is not None:
            yield "\n" if _breaks(source, at, start, breaks) else " "
        yield source[start:end]
        at = end


def _breaks(source: str, start: int, end: int, breaks: Sequence[int] | None) -> bool:
    if breaks is None:
        return source.find("\n", start, end) >= 0
    at = bisect_left(breaks, start)
    return at < len(breaks) and breaks[at] < end
