"""What goes by words alone: BM25 for a question, TextRank for none.

BM25 is the package rank-bm25, over words, and over pairs of characters in scripts without spaces. TextRank is PageRank
of the package networkx, on the graph whose edges weigh the words two units share. The summariser sumy has a TextRank
of its own, but compares all pairs in Python and holds back setuptools.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np

from gist_core.errors import MissingExtraError
from gist_core.evaluation.systems.units import Floats, Ints, UnitCompressor
from gist_core.words import terms


def bm25() -> UnitCompressor:
    """BM25 of the question."""
    return UnitCompressor("bm25", by_words)


def textrank() -> UnitCompressor:
    """TextRank, which is told no question.

    Raises:
        MissingExtraError: networkx or scipy is not installed.
    """
    for package in ("networkx", "scipy"):
        if find_spec(package) is None:
            raise MissingExtraError(f"{package} is not installed.", hint="pip install 'gist-compressor[evaluate]'")
    return UnitCompressor("textrank", by_centrality)


def by_words(query: str, units: Sequence[str], texts: Sequence[str], owner: Ints) -> Floats:
    """BM25 of the query over the units of all passages."""
    return bm25_scores(bm25_index(units), query)


def bm25_index(texts: Sequence[str]) -> Any:
    """rank_bm25.BM25Okapi over the terms of texts, of which there is at least one."""
    from rank_bm25 import BM25Okapi

    return BM25Okapi([terms(text) or ["\0"] for text in texts])


def bm25_scores(index: Any, query: str) -> Floats:
    """One score a text of the index."""
    return np.asarray(index.get_scores(terms(query)), dtype=np.float64)


def by_centrality(query: str, units: Sequence[str], texts: Sequence[str], owner: Ints) -> Floats:
    """TextRank of each unit among those of all passages (Mihalcea and Tarau 2004); the query is not looked at."""
    return _textrank(tuple(units))


@lru_cache(maxsize=32)
def _textrank(units: tuple[str, ...]) -> Floats:
    """PageRank, damped by 0.85, with |shared terms| / (ln |a| + ln |b|) as the weight of an edge.

    Remembered, since many questions are asked about the same passages.
    """
    import networkx

    graph = networkx.Graph()
    graph.add_nodes_from(range(len(units)))
    graph.add_weighted_edges_from(_edges([set(terms(unit)) for unit in units]))
    ranks = networkx.pagerank(graph, alpha=0.85)
    return np.array([ranks[n] for n in range(len(units))])


def _edges(bags: Sequence[set[str]]) -> list[tuple[int, int, float]]:
    from scipy.sparse import csr_array

    numbers: dict[str, int] = {}
    columns = [numbers.setdefault(term, len(numbers)) for bag in bags for term in sorted(bag)]
    rows = np.repeat(np.arange(len(bags)), [len(bag) for bag in bags])
    holds = csr_array((np.ones(len(rows)), (rows, columns)), shape=(len(bags), max(len(numbers), 1)))
    shared = (holds @ holds.T).tocoo()
    logs = np.log([max(len(bag), 2) for bag in bags])  # a single word would weigh nothing, or endlessly much
    upper = shared.row < shared.col
    one, other = shared.row[upper], shared.col[upper]
    weights = shared.data[upper] / (logs[one] + logs[other])
    return list(zip(one.tolist(), other.tolist(), weights.tolist(), strict=True))
