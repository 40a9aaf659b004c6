"""Text to units with exact character offsets: sentences, headings, list items, table rows, code; and their words.

Own rules instead of a library: offsets must be exact, headings, tables and code are units too, and the standard
library does it all. All patterns are bounded or possessive, so the work grows linearly with the text whatever it holds.
"""

from gist_core.segment.document import segments
from gist_core.segment.parts import words
from gist_core.segment.protected import protected_spans
from gist_core.segment.values import Kind, Segment

__all__ = ["Kind", "Segment", "protected_spans", "segments", "words"]
