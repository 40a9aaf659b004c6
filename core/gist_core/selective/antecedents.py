"""A sentence that begins with a pronoun lends its score to the one before it, which says whom it means.

For questions in English: the words are English ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gist_core.segment import Kind, Segment

LENT = 0.5
"""How much lower than its own the logit is that a sentence lends (core/decisions/0011-antecedents.md)."""

_REFERS = re.compile(r"\W*(?:he|she|it|they|his|her|its|their|this|that|these|those)\b", re.IGNORECASE)


def with_antecedents(
    texts: Sequence[str], segments: Sequence[Sequence[Segment]], logits: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Logits that are never lower than those given; (U,) over the segments of all texts, as are those given.

    Of a row of sentences that refer back each passes on what it was lent, less ``LENT`` again.
    """
    found, after = logits.copy(), len(logits)
    for text, own in zip(reversed(texts), reversed(segments), strict=True):
        first = after - len(own)
        for at in range(len(own) - 1, 0, -1):
            if _refers_back(text, own[at]) and own[at - 1].kind is Kind.SENTENCE:
                found[first + at - 1] = max(found[first + at - 1], found[first + at] - LENT)
        after = first
    return found


def _refers_back(text: str, segment: Segment) -> bool:
    return segment.kind is Kind.SENTENCE and _REFERS.match(text, segment.span.start, segment.span.end) is not None
