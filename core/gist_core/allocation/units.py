"""What can be kept: a slice of a text with its score."""

from __future__ import annotations

from dataclasses import dataclass

from gist_core.passage import Span


@dataclass(frozen=True, slots=True)
class Unit:
    """A slice that can be kept.

    ``requires`` are slices that come along, such as the heading of its section. Of what is not ``prose``, code and
    rows of tables, a part is kept only where nothing whole fits.
    """

    span: Span
    score: float
    requires: tuple[Span, ...] = ()
    prose: bool = True
