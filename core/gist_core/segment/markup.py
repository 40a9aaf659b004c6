"""HTML in a text: where a block of it begins and ends, and what of it is a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from gist_core.passage import Span
from gist_core.segment.cut import MAX_CHARACTERS
from gist_core.segment.values import Kind, Segment

_BLOCK = (
    "p|div|li|[uod]l|dt|dd|tr|table|thead|tbody|tfoot|caption|h[1-6]|section|article|header|footer|nav|main|aside"
    "|blockquote|pre|figure|figcaption|form|[hb]r|title|head|body|html|script|style"
)
TAG = r"</?[A-Za-z][\w-]{0,40}+(?=[\s/>])[^<>]{0,300}+>"
"""A tag of any kind, as a pattern; an address in brackets is none."""

CLOSING = rf"(?<![`\"'])</(?i:{_BLOCK})\s{{0,4}}>(?>(?:\s*+</[A-Za-z][\w:-]{{0,30}}+\s{{0,4}}>)*)"
"""The end of a block, and whatever ends with it, as a pattern."""

OPENING = rf"(?<![`\"'])(?=<(?i:{_BLOCK})[\s/>])"
"""Before the beginning of a block, as a pattern; a quoted tag is none."""

_STARTS = re.compile(rf"</?(?i:{_BLOCK}|t[dh])[\s/>]")
_BARE = re.compile(rf"(?>(?:\s++|{TAG})*)")
_HEADER_CELL, _CELL, _ROW = (re.compile(rf"(?<![`\"'])<(?i:{name})[\s/>]") for name in ("th", "td", "tr"))
_ROW_END = re.compile(r"</(?i:tr)\s{0,4}>")
_TABLE = re.compile(r"<(?i:table)\b")


def starts_with_tag(text: str, at: int) -> bool:
    """Whether a tag of a block or a cell begins at ``at``; a line break beside it ends nothing."""
    return text[at] == "<" and _STARTS.match(text, at) is not None


def is_bare(text: str, start: int, end: int) -> bool:
    """Whether nothing but tags stands in ``text[start:end]``."""
    found = _BARE.match(text, start, end)
    return found is not None and found.end() == end


def with_tables(text: str, found: Sequence[Segment]) -> Iterator[Segment]:
    """The segments; rows of HTML tables as such, behind a row of header cells with that as their header."""
    header: tuple[Span, ...] = ()
    for segment in _whole_rows(text, found):
        start, end = segment.span
        if _TABLE.search(text, start, end):
            header = ()
        if not _ROW.search(text, start, end):
            yield segment
        elif _HEADER_CELL.search(text, start, end) and not _CELL.search(text, start, end):
            header = (segment.span,)
            yield segment._replace(kind=Kind.TABLE_HEADER)
        else:
            yield segment._replace(kind=Kind.TABLE_ROW, requires=(*segment.requires, *header))


def _whole_rows(text: str, found: Sequence[Segment]) -> Iterator[Segment]:
    """The segments, those of one row that has sentences in its cells as one."""
    row: Segment | None = None
    for segment in found:
        whole = segment
        if row is not None and segment.kind is row.kind and segment.span.end - row.span.start <= MAX_CHARACTERS:
            whole = segment._replace(span=Span(row.span.start, segment.span.end))
        elif row is not None:
            yield row
        row = whole if _is_open(text, whole.span) else None
        if row is None:
            yield whole
    if row is not None:
        yield row


def _is_open(text: str, span: Span) -> bool:
    """Whether a row begins in the span and ends behind it, not far away."""
    begun = [found.end() for found in _ROW.finditer(text, *span)]
    ends = _ROW_END.search(text, begun[-1], span.start + MAX_CHARACTERS) if begun else None
    return ends is not None and ends.end() > span.end
