"""What segmentation yields, and the character classes its patterns share. Standard library only."""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from typing import NamedTuple

from gist_core.passage import Span


class Kind(StrEnum):
    """What a segment is in its document."""

    SENTENCE = "sentence"
    HEADING = "heading"
    LIST_ITEM = "list_item"
    TABLE_HEADER = "table_header"
    TABLE_ROW = "table_row"
    CODE = "code"


class Segment(NamedTuple):
    """A unit of selection.

    ``span`` starts and ends on a non-blank character. ``requires`` are the spans that must come along when this one is
    kept: the innermost heading of its section, the header of its table.
    """

    span: Span
    kind: Kind
    requires: tuple[Span, ...] = ()

    @property
    def prose(self) -> bool:
        """Whether a part of it reads as text does: not of code, nor of a table."""
        return self.kind in {Kind.SENTENCE, Kind.HEADING, Kind.LIST_ITEM}


class Block(NamedTuple):
    """A stretch of lines of one kind. ``body`` is where its sentences begin, behind a list marker."""

    kind: Kind
    start: int
    end: int
    body: int
    header: Span | None = None


# Characters that end a line, inside a character class.
EOL = "\n\r\x0b\x0c\x85\u2028\u2029"
# Scripts written without spaces, and those of them that also have no sentence marks.
CJK = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U000323af"
)
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
# Quotes and brackets that may close after a stop.
CLOSERS = "\"'\u201d\u2019\u00bb\u203a)\\]}*_"
WIDE_CLOSERS = "\u300d\u300f\u201d\u2019\uff09\u3011\u300b\u3009\u3015\"')\\]"
# Combining marks, joiners, selectors and low surrogates: never the first character of a piece.
GLUE = (
    "".join(c for c in map(chr, range(0x300, 0x3100)) if unicodedata.category(c)[0] == "M")
    + "\u1160-\u11ff\u200d\ufe00-\ufe0f\ufe20-\ufe2f\U0001f3fb-\U0001f3ff\udc00-\udfff"
)
