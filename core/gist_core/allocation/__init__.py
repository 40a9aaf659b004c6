"""Which units of which text to keep, so that the joined rendering fills a budget and never exceeds it.

    allocate.py   the entry point: keep spans, threshold, both scopes
    choices.py    the units in rank order; oversized ones in finer pieces
    filling.py    the search: best unit, longest prefix of the ranking, whatever still fits
    draft.py      the selection in the making; counts every joined text it is to become
    sizes.py      sizes of units: counted, or estimated for a user's function

The module runs without a model: scores come from elsewhere.
"""

from gist_core.allocation.allocate import Allocation, allocate
from gist_core.allocation.choices import Finer, Unit

__all__ = ["Allocation", "Finer", "Unit", "allocate"]
