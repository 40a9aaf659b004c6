"""Which units of which text to keep, so that the joined rendering fills a budget and never exceeds it.

    allocate.py   the entry point: keep spans, threshold, both scopes
    units.py      what can be kept
    choices.py    the units in rank order
    refining.py   of units that do not fit, stretches
    stretches.py  the best stretch of words
    filling.py    the search: best unit, longest prefix of the ranking, whatever still fits
    draft.py      the selection in the making; counts every joined text it is to become
    sizes.py      sizes of units: counted, or estimated for a user's function

The module runs without a model: scores come from elsewhere.
"""

from gist_core.allocation.allocate import Allocation, allocate
from gist_core.allocation.refining import Finer
from gist_core.allocation.units import Unit

__all__ = ["Allocation", "Finer", "Unit", "allocate"]
