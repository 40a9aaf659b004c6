"""The contexts that readers and language models are given: what each system makes of a case's passages."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from gist_core.budget import Budget
from gist_core.cases import Case
from gist_core.compressor import TextCompressor
from gist_core.evaluation.runner import RATES, TOKENIZER, joined, sizes

logger = logging.getLogger(__name__)


class Context(NamedTuple):
    """What one system leaves of a case's passages at one rate, joined as a prompt joins them."""

    system: str
    rate: int
    text: str


def compressed_contexts(
    case: Case, systems: Mapping[str, TextCompressor], wanted: Callable[[str, int], bool]
) -> Iterator[Context]:
    """The output of every system at every rate that is wanted; one that fails is logged and left out."""
    for name, system in systems.items():
        for rate, size in zip(RATES, sizes(case), strict=True):
            if not wanted(name, rate):
                continue
            try:
                results = system.compress(
                    case.passages, query=case.query or None, budget=Budget(tokens=size, tokenizer=TOKENIZER)
                )
            except Exception as error:  # a system may be anyone's
                logger.warning("%s failed on %s of %s at %dx: %r", name, case.id, case.set, rate, error)
                continue
            yield Context(name, rate, joined(r.text for r in results))
