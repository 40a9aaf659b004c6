"""A whole text to its segments: blocks first, then the units inside each."""

from __future__ import annotations

from gist_core.passage import Span
from gist_core.segment.blocks import blocks
from gist_core.segment.cut import cut
from gist_core.segment.markup import with_tables
from gist_core.segment.sentences import sentences
from gist_core.segment.values import Block, Kind, Segment


def segments(text: str) -> list[Segment]:
    """The units of a text, in order.

    Args:
        text: Any string; lone surrogates and NUL pass through.

    Returns:
        Sorted, disjoint segments that start and end on a non-blank character and together cover every non-blank
        character. None is longer than MAX_CHARACTERS. Headings are segments too, and every other segment of a section
        requires the innermost heading.
    """
    out: list[Segment] = []
    heading: tuple[Span, ...] = ()
    for block in blocks(text):
        if block.kind is Kind.HEADING:
            spans = list(cut(text, block.start, block.end))
            out += [Segment(span, Kind.HEADING) for span in spans]
            heading = (spans[0],)
            continue
        requires = heading if block.header is None else (*heading, block.header)
        kind = block.kind
        out += [Segment(span, kind, requires) for span in _units(text, block)]
    return list(with_tables(text, out)) if "<" in text else out


def _units(text: str, block: Block) -> list[Span]:
    if block.kind is Kind.SENTENCE or block.kind is Kind.LIST_ITEM:
        return sentences(text, block.start, block.end, block.body)
    return list(cut(text, block.start, block.end, lines=True))
