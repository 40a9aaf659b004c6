"""What a writer reads of C where C is more than it can judge: the words that a selective policy keeps at a higher rate.

Select, then write, as Chen and Bansal (2018, arXiv 1805.11080) do with sentences: the selective policy sees both sides
of every word; the writer decides what of its choice is said, beside what is said already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gist_core.passage import Span, render
from gist_core.training.cotrain.objective import SelectiveObjective


@dataclass(frozen=True, slots=True)
class Extract:
    """``text``: the words that were kept of C; ``gist``: where in it stand those that the policy's own gist has."""

    text: str
    gist: list[Span]


class Extracts:
    """What a selective policy keeps of contexts at ``times`` the rate of a gist.

    Args:
        keep: The policy; it stays as it is.
        times: How many times a gist's size is read, 1 or more.
    """

    def __init__(self, keep: SelectiveObjective, times: float) -> None:
        self.keep, self.times = keep, times

    def of(self, contexts: Sequence[str], rates: Sequence[float]) -> list[list[Extract]]:
        """For gists of each of the rates, an extract of each context."""
        asked = [min(1.0, self.times * rate) for rate in rates]
        kept = self.keep.kept(contexts, [*asked, *rates])
        return [
            [_extract(context, own[at], own[len(rates) + at]) for context, own in zip(contexts, kept, strict=True)]
            for at in range(len(rates))
        ]


def _extract(context: str, read: Sequence[Span], gist: Sequence[Span]) -> Extract:
    """The words that are read, rendered, and where those of the gist stand then: one sign stands in every gap."""
    wanted, found = set(gist), list[Span]()
    at, last = 0, None
    for span in read:
        at += last is not None and last < span.start
        if span in wanted:
            found.append(Span(at, at + span.end - span.start))
        at, last = at + span.end - span.start, span.end
    return Extract(render(context, read), found)
