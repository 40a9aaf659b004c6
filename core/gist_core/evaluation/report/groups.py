"""Which sets are read together, and what is measured on each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

Rows = Sequence[Mapping[str, Any]]

LANGUAGES = "languages"
ALL = "all sets"
GROUPS: dict[str, tuple[str, ...]] = {  # names of sets, or patterns of them
    "multi-document": ("nq20_even", "nolicence_squadshifts_new_wiki_10doc"),
    "long documents": ("covidqa", "fairytaleqa"),
    "single passages": (
        "policyqa",
        "qed_dev",
        "nolicence_squadshifts_reddit",
        "nolicence_squadshifts_amazon_reviews",
        "friendsqa",
    ),
    "meetings": ("qmsum_train",),
    "multi-hop": ("hotpotqa_train100",),
    LANGUAGES: ("xquad/*", "jaquad", "cmrc2018"),
}
METRICS = {
    "answer": "answer kept",
    "evidence": "evidence kept",
    "all_evidence": "all evidence kept",
    "own": "each set's own measure",
}
EVIDENCE, OWN_METRIC = "evidence", "own"
_FIXED = {"qmsum_train": "evidence", "qmsum_val": "evidence", "hotpotqa_train100": "all_evidence"}


def groups_of(sets: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The groups that have members among ``sets``, each set of no group by itself, then all sets but languages."""
    names = list(dict.fromkeys(sets))
    found = {group: tuple(s for s in names if _matches(s, patterns)) for group, patterns in GROUPS.items()}
    grouped = {s for members in found.values() for s in members}
    found |= {s: (s,) for s in names if s not in grouped}
    everything = tuple(s for s in names if s not in found[LANGUAGES])
    if len(everything) > 1:
        found[ALL] = everything
    return {group: members for group, members in found.items() if members}


def metrics_of(rows: Rows) -> dict[str, str]:
    """The measure of each set: where it is not fixed, the answer where any record has one to find, else the evidence.

    Sets whose records have neither are left out.
    """
    has: dict[str, set[str]] = {}
    for row in rows:
        own = has.setdefault(row["set"], set())
        own.update(metric for metric in ("answer", "evidence") if row.get(metric) is not None)
    return {name: _FIXED.get(name) or ("answer" if "answer" in own else "evidence") for name, own in has.items() if own}


def metric_together(metrics: Iterable[str]) -> str:
    """The measure that sets pooled share, or each set's own."""
    different = set(metrics)
    return different.pop() if len(different) == 1 else OWN_METRIC


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
