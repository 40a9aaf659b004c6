"""Quality: every system at every rate on a set or on sets pooled, and ours less each of the others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gist_core.evaluation.report.estimates import Estimate, estimate, paired
from gist_core.evaluation.report.groups import Rows, metric_together

OURS = "gist"
Key = tuple[str, int]  # system and rate


@dataclass(frozen=True, slots=True)
class Table:
    """The figures of sets pooled, in percent, over records.

    Args:
        name: Of the group or the set.
        sets: What is pooled.
        metric: A key of ``groups.METRICS``.
        records: How many records the system with the most has.
        quality: The measure, by system and rate.
        share: Tokens kept of those that came in, mean over records, by system and rate.
        leads: Ours less the other system on the records both have, by the other system and rate.
        over: Outputs larger than their budget, by system and rate, where there are any.
    """

    name: str
    sets: tuple[str, ...]
    metric: str
    records: int
    quality: dict[Key, Estimate]
    share: dict[Key, float]
    leads: dict[Key, Estimate]
    over: dict[Key, int]

    def larger(self, key: Key) -> int:
        """Outputs of ours and of the other system that are larger than their budget."""
        return self.over.get(key, 0) + self.over.get((OURS, key[1]), 0)

    def at_equal_size(self, key: Key) -> bool:
        """Whether both kept to the budget, so that the lead says which of them is better."""
        return not self.larger(key)


@dataclass(frozen=True, slots=True)
class Loss:
    """A set on which ours is behind another system on average; ``proven`` where the whole interval lies below zero.

    Of ``larger`` outputs of the two the size exceeded the budget: with any, it is no loss.
    """

    name: str
    system: str
    rate: int
    lead: Estimate
    larger: int = 0

    @property
    def proven(self) -> bool:
        """Whether the interval of the difference lies below zero."""
        return self.lead.verdict == "behind"


def table(name: str, sets: Sequence[str], rows: Rows, metrics: Mapping[str, str]) -> Table:
    """The figures of ``sets`` pooled; every record counts once, by its own set's measure."""
    values: dict[Key, dict[str, float]] = defaultdict(dict)
    shares: dict[Key, list[float]] = defaultdict(list)
    over = Counter((row["system"], row["rate"]) for row in rows if row["set"] in sets and row.get("over"))
    for row in rows:
        found = row.get(metrics.get(row["set"], "")) if row["set"] in sets else None
        if found is None:
            continue
        values[row["system"], row["rate"]][f"{row['set']}/{row['id']}"] = 100 * float(found)
        if row.get("tokens_in"):
            shares[row["system"], row["rate"]].append(100 * row["tokens"] / row["tokens_in"])
    ours = {rate: own for (system, rate), own in values.items() if system == OURS}
    leads = {(s, r): paired(ours[r], own) for (s, r), own in values.items() if s != OURS and r in ours}
    return Table(
        name,
        tuple(sets),
        metric_together(metrics[s] for s in sets),
        max(map(len, values.values()), default=0),
        {key: found for key, own in values.items() if (found := estimate(own))},
        {key: sum(own) / len(own) for key, own in shares.items()},
        {key: lead for key, lead in leads.items() if lead},
        dict(over),
    )


def losses(tables: Sequence[Table]) -> list[Loss]:
    """Where ours is behind on average at equal size: the proven ones first, the largest first."""
    return _behind(tables, at_equal_size=True)


def behind_larger(tables: Sequence[Table]) -> list[Loss]:
    """Where ours is behind on average a system at a rate at which one of the two exceeded its budget."""
    return _behind(tables, at_equal_size=False)


def _behind(tables: Sequence[Table], *, at_equal_size: bool) -> list[Loss]:
    found = [
        Loss(t.name, *key, lead, t.larger(key))
        for t in tables
        for key, lead in t.leads.items()
        if lead.mean < 0 and t.at_equal_size(key) is at_equal_size
    ]
    return sorted(found, key=lambda loss: (not loss.proven, loss.lead.mean))
