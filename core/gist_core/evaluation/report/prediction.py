"""What compression does to a language model's prediction of the answer, by group of sets."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gist_core.evaluation.flips import FULL
from gist_core.evaluation.likelihood import NO_CONTEXT
from gist_core.evaluation.report.estimates import Estimate, Values, estimate
from gist_core.evaluation.report.groups import Rows, groups_of
from gist_core.evaluation.report.reading import ratio_of_means
from gist_core.evaluation.report.tables import Key


@dataclass(frozen=True, slots=True)
class Prediction:
    """Of one system at one rate.

    Args:
        kl: Kullback-Leibler divergence from the prediction with the full texts, nats per token of the answer.
        gain: What the output adds to the likelihood of the answer, in percent of what the full texts add; None where
            the interval of what these add is not above zero: the share of nothing says nothing.
    """

    kl: Estimate
    gain: Estimate | None


@dataclass(frozen=True, slots=True)
class Predictions:
    """Of sets pooled.

    Args:
        name: Of the group or the set.
        records: How many records the system with the most has.
        nothing: The divergence without any text; None where it was not measured.
        found: By system and rate.
    """

    name: str
    records: int
    nothing: Estimate | None
    found: Mapping[Key, Prediction]


def predictions(likelihood: Rows) -> tuple[Predictions, ...]:
    """By group, in the order of the report's groups; records that are longer than the model reads are left out."""
    rows = [row for row in likelihood if "error" not in row]
    groups = groups_of(row["set"] for row in rows)
    return tuple(_predictions(name, [row for row in rows if row["set"] in sets]) for name, sets in groups.items())


def _predictions(name: str, rows: Rows) -> Predictions:
    kl, nll = (_values(rows, figure) for figure in ("kl", "nll"))
    whole = _less(nll.get((NO_CONTEXT, 1), {}), nll.get((FULL, 1), {}))
    found = {
        key: Prediction(mean, _gain(_less(nll.get((NO_CONTEXT, 1), {}), nll[key]), whole))
        for key, own in kl.items()
        if key[0] not in (FULL, NO_CONTEXT) and (mean := estimate(own))
    }
    records = max((prediction.kl.n for prediction in found.values()), default=0)
    return Predictions(name, records, estimate(kl.get((NO_CONTEXT, 1), {})), found)


def _values(rows: Rows, figure: str) -> dict[Key, dict[str, float]]:
    found: dict[Key, dict[str, float]] = defaultdict(dict)
    for row in rows:
        found[row["system"], row["rate"]][f"{row['set']}/{row['id']}"] = row[figure]
    return found


def _gain(part: Values, whole: Values) -> Estimate | None:
    both = [record for record in whole if record in part]
    full = estimate(_over(both, whole))
    return ratio_of_means(_over(both, part), _over(both, whole)) if full and full.low > 0 else None


def _less(values: Values, other: Values) -> Values:
    return {record: value - other[record] for record, value in values.items() if record in other}


def _over(records: Sequence[str], values: Values) -> Values:
    return {record: values[record] for record in records}
