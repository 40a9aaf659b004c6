"""The report's parts in their order, with the words around the tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from gist_core.evaluation.report import grids, output_grids, prediction_grids, time_grids
from gist_core.evaluation.report.grids import Grid
from gist_core.evaluation.report.groups import ALL, LANGUAGES, OWN_METRIC
from gist_core.evaluation.report.summary import Summary
from gist_core.evaluation.report.tables import OURS, behind_larger, losses

CURVES = "curves"  # the part that is nothing but charts
BESIDE = "bm25"  # what the languages are shown beside
_BUDGET = (
    "Every system was given the same token budget: at 2x half of the tokens of the texts, at 20x a twentieth, at least "
    "8, counted in cl100k_base. Beside each mean stands its 95 % bootstrap interval over records, and n, the number of "
    "records, where it differs from the table's."
)
_WITHIN = "No output was over its budget."
_OVER = (
    "Not all kept to it: {systems}. Their cells say how many outputs are over; there the figures are not of equal "
    "size, and a difference is neither a proven lead nor a loss."
)
_UNFOUND = (
    "No gold answer that can be looked for stands in the texts of any record, and no record has gold evidence: of "
    "answers and evidence kept there is nothing to report."
)
_PAIRS = (
    "A difference is taken record by record (pairs), and its 95 % bootstrap interval over those pairs. ▲: the whole "
    "interval lies above zero, a proven lead; ▼: below zero, a proven loss; open, or no mark: neither. Records are "
    "taken as independent, also where they share a text; of few records an interval is too narrow; nothing is "
    "corrected for the number of comparisons."
)
_KEPT = (
    "Answer kept: records whose gold answer still stands in the output as whole words, of those whose answer stands in "
    "the texts. Evidence kept: characters of the gold evidence that were kept. All evidence kept: records with every "
    "piece of evidence kept to nine tenths."
)
_OWN = f'"{ALL.capitalize()}" counts each record by its own set\'s measure, languages left out.'
_OUTPUTS = (
    "Over all sets. A value is a number, a date, an identifier or a name; invented: it stands in the output but not in "
    "the source. Altered: the output has a word that the source has not. Systems that keep text as it is cannot do "
    "either but by cutting inside a word or a value."
)
_NO_KINDS = "Rows of earlier releases do not tell the kinds of values apart; by kind the others alone count."
_PREDICTION = (
    "A language model predicted the gold answer after the full texts and after every output. Divergence: that of "
    "Kullback and Leibler from its prediction after the full texts, in nats per token of the answer; 0: nothing is "
    "lost. Gain: what the output adds to the likelihood of the answer against no text at all, in percent of what the "
    "full texts add, where that is proven to be anything."
)
_BREAK_EVEN = (
    "Compression at a rate saves time with a reader that takes in its prompt more slowly than the table says. With "
    "prices: gist break-even --price PRICE --reader-speed SPEED --speed-file OUT/speed.jsonl"
)
_READER = (
    "A reader answered from the full texts and from every output; the two are compared on the same records. Lost: an "
    "exact match with the full texts and none with the output; won: the other way round."
)
_CURVES = (
    "From 20x at the left to 2x at the right: the mean over records of tokens kept, of those that came in. "
    "A band is the interval of its line."
)
_ALONG = (
    "The chart shows the calls whose quality was measured: the median over texts of about one length, as they came, "
    "with whatever else the machine did."
)


class Fold(NamedTuple):
    """Tables for those who want all of it."""

    title: str
    grids: tuple[Grid, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report; the page puts charts of the same ``key`` after the words, ``folds`` behind a click.

    ``charted`` are words on the charts, which Markdown has none of.
    """

    key: str
    title: str
    words: tuple[str, ...]
    grids: tuple[Grid, ...] = ()
    folds: tuple[Fold, ...] = ()
    charted: tuple[str, ...] = ()


def sections(summary: Summary) -> Iterator[Section]:
    """All parts that have something to show."""
    if any(t.quality for t in summary.groups):
        yield _results(summary)
        if any(t.leads for t in summary.groups):
            yield _leads(summary)
        yield Section(CURVES, "Quality against tokens kept", (), charted=(_CURVES,))
    elif any(own.outputs for own in summary.outputs.values()):
        yield Section("results", "Results", (_UNFOUND,))
    if any(t.name == LANGUAGES for t in summary.groups) and BESIDE in summary.systems:
        words = "One set a language. The tables of each set, under Results, show the other systems."
        yield Section("languages", "Languages", (words,), (grids.languages(summary, BESIDE),))
    if summary.outputs:
        yield _outputs(summary)
    if summary.reading:
        first, *others = (grids.reading(name, found, summary) for name, found in summary.reading.items())
        each = _folds("Each set", (grid for own in others for grid in own))
        yield Section("reader", "A reader's answers", (_READER,), first, each)
    if summary.prediction:
        yield _prediction(summary)
    if summary.speed or summary.latency:
        yield _speed(summary)


def _folds(title: str, found: Iterable[Grid]) -> tuple[Fold, ...]:
    shown = tuple(found)
    return (Fold(title, shown),) if shown else ()


def _results(summary: Summary) -> Section:
    own = (_OWN,) if any(t.metric == OWN_METRIC for t in summary.groups) else ()
    evidence = {t.name: t for t in summary.evidence}
    shown = (t for group in summary.groups for t in (group, evidence.get(group.name)) if t)
    tables = tuple(grids.quality(t, summary) for t in shown)
    each = _folds("Each set", (grids.quality(t, summary) for t in summary.sets_apart))
    return Section("results", "Results", (f"{_BUDGET} {_kept_to(summary)}", _KEPT, *own), tables, each)


def _kept_to(summary: Summary) -> str:
    """Who exceeded the budget, and at which rates."""
    rates: dict[str, list[str]] = {}
    for (system, rate), own in sorted(summary.outputs.items(), key=lambda item: item[0][1]):
        if own.over:
            rates.setdefault(system, []).append(f"{rate}x")
    named = "; ".join(f"{system} at {', '.join(own)}" for system, own in rates.items())
    return _OVER.format(systems=named) if named else _WITHIN


def _outputs(summary: Summary) -> Section:
    told = [own for own in summary.outputs.values() if own.kinds]
    own = (output_grids.entities(summary), output_grids.size(summary), output_grids.faults(summary))
    kinds = output_grids.kinds(summary)
    more = (output_grids.invented(summary),) if told else ()
    words = (_OUTPUTS, _NO_KINDS) if told and summary.kindless else (_OUTPUTS,)
    folds = (*_folds("Each kind of value", kinds), *_folds("Budget used", [output_grids.fill(summary)]))
    return Section("outputs", "What the outputs hold", words, (*own, *more), folds)


def _prediction(summary: Summary) -> Section:
    many = f"Records that are longer than the model reads, left out: {summary.unread:,}."
    words = (_PREDICTION, many) if summary.unread else (_PREDICTION,)
    each = (
        grid(found, summary)
        for found in summary.prediction
        for grid in (prediction_grids.divergence, prediction_grids.gain)
    )
    return Section("prediction", "A language model's prediction", words, tuple(grid for grid in each if grid.rows))


def _leads(summary: Summary) -> Section:
    found = losses(summary.sets)
    proven = grids.loss_rows([loss for loss in found if loss.proven], "Losses that are proven, by set")
    unproven = grids.loss_rows([loss for loss in found if not loss.proven], "Behind on average, not proven, by set")
    names = ", ".join(dict.fromkeys(loss.name for loss in found))
    words = f"{OURS} is behind at least one system at some rate, on average, on: {names}."
    larger = grids.loss_rows(behind_larger(summary.sets), "Behind at unequal size: an output was over its budget")
    own = (grids.counts(summary), *(grid for grid in (grids.not_proven(summary), proven) if grid.rows))
    folds = (
        *_folds(larger.title, (grid for grid in (larger,) if grid.rows)),
        *_folds("Behind on average, not proven", (grid for grid in (unproven,) if grid.rows)),
        *_folds(f"{OURS} less each other", (grids.differences(t, summary) for t in summary.groups)),
        *_folds(
            f"{OURS} less each other system, each set", (grids.differences(t, summary) for t in summary.sets_apart)
        ),
    )
    words = words if found else f"On no set is {OURS} behind any other system on average, at equal size."
    return Section("leads", f"Where {OURS} leads, and where not", (words, _PAIRS), own, folds)


def _speed(summary: Summary) -> Section:
    machines = dict.fromkeys(str(row["machine"]) for row in summary.speed if row.get("machine"))
    words = [f"Measured on {machine}." for machine in machines]
    if told := dict.fromkeys(str(row["system"]) for row in summary.speed if row.get("peak_mib")):
        words.append(f"Peak memory: of {', '.join(told)} alone, one call on the longest text in a fresh process.")
    if even := time_grids.break_even(summary.speed):
        words.append(_BREAK_EVEN)
    own = (time_grids.speed(summary.speed),) if summary.speed else ()
    along = () if summary.latency_apart else (_ALONG,)
    return Section("speed", "Speed", tuple(words), (*own, *((even,) if even else ())), charted=along)
