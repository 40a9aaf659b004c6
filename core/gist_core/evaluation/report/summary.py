"""Rows -> numbers. Pure: what every form of the report, and the page's charts, are written from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gist_core.evaluation.report.groups import EVIDENCE, LANGUAGES, Rows, groups_of, metrics_of
from gist_core.evaluation.report.latency import Lines, along_the_way, measured_apart
from gist_core.evaluation.report.outputs import Outputs, outputs
from gist_core.evaluation.report.prediction import Predictions, predictions
from gist_core.evaluation.report.reading import Reading, readings
from gist_core.evaluation.report.tables import OURS, Key, Table, table

ALL_QUESTIONS = "all questions"


@dataclass(frozen=True, slots=True)
class Summary:
    """All numbers of a report.

    Args:
        rates: The rates measured, ascending.
        systems: In the order of the rows, ours first.
        groups: The pooled groups, then sets of no group, then all sets but languages.
        sets: Every set by itself.
        evidence: Evidence kept of the groups that are measured otherwise, where they have any.
        outputs: Entities, fill, errors, by system and rate.
        reading: A reader's answers: over all questions (``ALL_QUESTIONS``) and, of several sets, by set.
        prediction: A language model's predictions, by group.
        unread: Records that are longer than the language model reads.
        kindless: Whether some rows do not tell kinds of values apart.
        speed: The rows of the speed measurement as they are.
        latency: The time of a call by length.
        latency_apart: Whether ``latency`` is of the speed measurement, else of the calls that quality was measured on.
    """

    rates: tuple[int, ...]
    systems: tuple[str, ...]
    groups: tuple[Table, ...]
    sets: tuple[Table, ...]
    evidence: tuple[Table, ...]
    outputs: Mapping[Key, Outputs]
    reading: Mapping[str, Mapping[Key, Reading]] = field(default_factory=dict)
    prediction: tuple[Predictions, ...] = ()
    unread: int = 0
    kindless: bool = False
    speed: tuple[Mapping[str, Any], ...] = ()
    latency: Lines = field(default_factory=dict)
    latency_apart: bool = False

    @property
    def sets_apart(self) -> tuple[Table, ...]:
        """The sets whose figures no group shows alone."""
        alone = {t.sets for t in self.groups}
        return tuple(t for t in self.sets if t.sets not in alone)

    @property
    def languages(self) -> tuple[Table, ...]:
        """The sets of the languages."""
        members = {s for t in self.groups if t.name == LANGUAGES for s in t.sets}
        return tuple(t for t in self.sets if t.name in members)


def summarise(rows: Rows, answers: Rows = (), speed: Rows = (), likelihood: Rows = ()) -> Summary:
    """All numbers of a report.

    Args:
        rows: Of ``rows.jsonl``.
        answers: Of ``answers.jsonl``, where a reader was asked.
        speed: Of ``speed.jsonl``, where speed was measured.
        likelihood: Of ``likelihood.jsonl``, where a language model was asked.
    """
    metrics = metrics_of(rows)
    systems = dict.fromkeys(row["system"] for row in rows)
    apart = measured_apart(speed)
    groups = tuple(table(name, members, rows, metrics) for name, members in groups_of(metrics).items())
    return Summary(
        rates=tuple(sorted({row["rate"] for row in rows})),
        systems=tuple(sorted(systems, key=lambda system: system != OURS)),
        groups=groups,
        sets=tuple(table(name, (name,), rows, metrics) for name in metrics),
        evidence=tuple(found for group in groups if (found := _evidence(group, rows))),
        outputs=outputs(rows),
        reading=_by_set(answers),
        prediction=predictions(likelihood),
        unread=sum("error" in row for row in likelihood),
        kindless=any("error" not in row and "kinds" not in row for row in rows),
        speed=tuple(speed),
        latency=apart or along_the_way(rows),
        latency_apart=bool(apart),
    )


def _evidence(group: Table, rows: Rows) -> Table | None:
    """The group by evidence kept; None where that is its measure already, or none of its records has any."""
    found = table(group.name, group.sets, rows, dict.fromkeys(group.sets, EVIDENCE))
    return found if found.quality and group.metric != EVIDENCE else None


def _by_set(answers: Rows) -> dict[str, dict[Key, Reading]]:
    names = list(dict.fromkeys(row["set"] for row in answers))
    found = {ALL_QUESTIONS: readings(answers)} if names else {}
    if len(names) > 1:
        found |= {name: readings([row for row in answers if row["set"] == name]) for name in names}
    return {name: own for name, own in found.items() if own}
