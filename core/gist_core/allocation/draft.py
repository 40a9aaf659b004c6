"""A selection in the making: what is kept of each text, and what the whole costs, always counted and never summed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence

from gist_core.passage import Span, line_breaks, merge_spans, render
from gist_core.tokens import TokenCounter

_WIDEST_GAP = 16  # characters of white space between two kept units that stay as they were
_CONTEXT = 64  # characters on each side of a unit in which its neighbours can change how it is counted


def close_gaps(text: str, spans: Iterable[Span]) -> list[Span]:
    """The spans merged, also over short white space: a line's indentation and a paragraph's break stay."""
    closed: list[Span] = []
    for span in merge_spans(spans):
        gap = span.start - closed[-1].end if closed else _WIDEST_GAP + 1
        if gap <= _WIDEST_GAP and text[closed[-1].end : span.start].isspace():
            closed[-1] = Span(closed[-1].start, span.end)
        else:
            closed.append(span)
    return closed


class Draft:
    """Kept spans of several texts, whose joined rendering never has more than ``limit`` tokens.

    Args:
        texts: The sources.
        separator: What the non-empty renderings are joined with.
        counter: Counts the joined text.
        limit: Tokens, 0 or more.
        tokens_in: Tokens of each source alone; a kept text should not have more.

    ``rendered`` holds the texts of which anything is kept, in order, so that a draft of which little is kept costs
    little, however much there was to choose from.
    """

    def __init__(
        self, texts: Sequence[str], separator: str, counter: TokenCounter, limit: int, tokens_in: Sequence[int]
    ) -> None:
        self.texts, self.separator, self.counter = texts, separator, counter
        self.limit, self.tokens_in = limit, tokens_in
        self.kept: list[list[Span]] = [[] for _ in texts]
        self.rendered: dict[int, str] = {}
        self.total = 0
        self._breaks: dict[int, Sequence[int]] = {}

    @property
    def slack(self) -> int:
        """Tokens that are left."""
        return self.limit - self.total

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return not self.rendered

    def count(self, changes: Mapping[int, list[Span]]) -> int:
        """Tokens of the joined text if the kept spans of some texts were these."""
        return self.counter.count(self._join(self._rendered(changes).values()))

    def place(self, changes: Mapping[int, list[Span]], total: int | None = None) -> bool:
        """Keep these spans of some texts instead, if all then fits; ``total`` where it was counted already."""
        total = self.count(changes) if total is None else total
        if total > self.limit:
            return False
        self.rendered = self._rendered(changes)
        for index, spans in changes.items():
            self.kept[index] = spans
        self.total = total
        return True

    def with_all(self, additions: Iterable[tuple[int, Sequence[Span]]]) -> dict[int, list[Span]]:
        """The changes that keep these spans too, with gaps closed."""
        more: dict[int, list[Span]] = {}
        for index, spans in additions:
            more.setdefault(index, []).extend(spans)
        return {index: close_gaps(self.texts[index], [*self.kept[index], *spans]) for index, spans in more.items()}

    def insert(self, index: int, spans: Sequence[Span]) -> bool:
        """Keep these spans of one text too, as ``render`` joins them, if all then fits.

        Where that would make the text longer than its source, in tokens, the whole source is tried instead.
        """
        changes = {index: merge_spans([*self.kept[index], *spans])}
        total = self.count(changes)
        if total > self.limit:
            return False
        if self.counter.count(self.render(index, changes[index])) > self.tokens_in[index]:
            return self.place({index: self.whole(index)})
        return self.place(changes, total)

    def whole(self, index: int) -> list[Span]:
        """The spans that keep a text byte for byte."""
        return [Span(0, len(self.texts[index]))] if self.texts[index] else []

    def covers(self, index: int, spans: Sequence[Span]) -> bool:
        """Whether all these spans are kept."""
        kept, beyond = self.kept[index], len(self.texts[index]) + 1
        places = [(bisect_right(kept, (start, beyond)) - 1, end) for start, end in spans]
        return all(at >= 0 and kept[at].end >= end for at, end in places)

    def touches(self, index: int, span: Span) -> bool:
        """Whether anything of ``span`` is kept."""
        kept = self.kept[index]
        at = bisect_right(kept, (span.end, -1)) - 1  # the last that starts before the span's end
        return at >= 0 and kept[at].end > span.start

    def render(self, index: int, spans: Iterable[Span]) -> str:
        """These spans of a text, as they would be kept."""
        if index not in self._breaks:
            self._breaks[index] = line_breaks(self.texts[index])
        return render(self.texts[index], spans, self._breaks[index])

    def joints(self, additions: Sequence[tuple[int, Sequence[Span]]]) -> list[tuple[str, str]]:
        """For each addition by itself, the text around it without and with it, cut to what can change the count."""
        filled = list(self.rendered)
        return [self._joint(index, spans, filled) for index, spans in additions]

    def _joint(self, index: int, spans: Sequence[Span], filled: Sequence[int]) -> tuple[str, str]:
        """What is kept already is no part of an addition: a heading may stand far above what it comes along with."""
        new = merge_spans(span for span in spans if not self.covers(index, [span]))
        if not new:
            return "", ""
        near = merge_spans(piece for span in new for piece in self._around(index, span))
        before, after = bool(near) and near[0].start < new[0].start, bool(near) and near[-1].end > new[-1].end
        one, other = bisect_left(filled, index) - 1, bisect_right(filled, index)
        left = "" if before or one < 0 else self.rendered[filled[one]][-_CONTEXT:]
        right = "" if after or other == len(filled) else self.rendered[filled[other]][:_CONTEXT]
        without, with_ = self.render(index, near), self.render(index, [*near, *new])
        return self._join([left, without, right]), self._join([left, with_, right])

    def _around(self, index: int, span: Span) -> list[Span]:
        """What is kept within a span, and the nearest that is kept on each side of it, cut to what matters."""
        kept, (low, high) = self.kept[index], span
        first = max(bisect_right(kept, (low, -1)) - 1, 0)
        near = kept[first : bisect_right(kept, (high, len(self.texts[index]) + 1)) + 1]
        if near and near[0].start < low:
            near[0] = Span(max(near[0].start, min(near[0].end, low) - _CONTEXT), near[0].end)
        if near and near[-1].end > high:
            near[-1] = Span(near[-1].start, min(near[-1].end, max(near[-1].start, high) + _CONTEXT))
        return near

    def _rendered(self, changes: Mapping[int, list[Span]]) -> dict[int, str]:
        changed = self.rendered | {index: self.render(index, spans) for index, spans in changes.items()}
        return {index: changed[index] for index in sorted(changed) if changed[index]}

    def _join(self, texts: Iterable[str]) -> str:
        return self.separator.join(text for text in texts if text)
