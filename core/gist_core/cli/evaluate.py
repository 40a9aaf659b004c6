"""``gist evaluate``: any compressor on any task beside what else one could do, at equal token budgets."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gist_core.cli.console import clear_errors, counted, say, write_file, write_out
from gist_core.cli.inputs import import_from_here

if TYPE_CHECKING:
    from gist_core.compressor import TextCompressor
    from gist_core.evaluation.quality import Tasks

_CASES_FOR_SPEED = 50  # their sentences are what the texts of the speed measurement are made of


class Split(StrEnum):
    """The sides that are not trained on."""

    TEST = "test"
    VALIDATION = "validation"


def _measure_thresholds(compressor: TextCompressor, tasks: Tasks, out: Path) -> None:
    from gist_core.evaluation.rows import read_rows
    from gist_core.evaluation.thresholds import run_thresholds, thresholds_table

    run_thresholds(compressor, counted(tasks, "thresholds tried"), out / "thresholds.jsonl")
    write_file(out / "thresholds.md", thresholds_table(read_rows(out / "thresholds.jsonl")))


def _measure_speed(systems: Mapping[str, TextCompressor], tasks: Tasks, out: Path) -> None:
    from gist_core.evaluation.quality import OURS
    from gist_core.evaluation.speed import run_speed

    texts = [passage.text for case in islice(tasks, _CASES_FOR_SPEED) for passage in case.passages]
    say("gist: measuring speed: up to a minute for each system and length.")
    run_speed(systems, out / "speed.jsonl", texts, longest=(OURS,))


@clear_errors()
def evaluate(
    *,
    data: Annotated[Path, typer.Option(help="Folder of sets, or one file of records (.jsonl or .jsonl.xz).")],
    out: Annotated[Path, typer.Option(help="Folder for the rows and the report; a run found there goes on.")],
    model: Annotated[str, typer.Option(help="'default', a folder or a hub id.")] = "default",
    split: Annotated[Split, typer.Option(help="Which side of the sets; a file of your own is measured whole.")] = (
        Split.TEST
    ),
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="A set, or 'languages'; default: the README's sets.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Records of each set at the most.")] = None,
    system: Annotated[
        list[str] | None,
        typer.Option(help="What to measure beside the model: a name, or package.module:function. Default: all."),
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", help="Measure the model without the others beside it.")] = False,
    reader: Annotated[
        str | None, typer.Option(help="Folder or hub id of a model that answers from the contexts; counts flips.")
    ] = None,
    lm: Annotated[
        str | None, typer.Option(help="Folder or hub id of a causal language model; measures its likelihoods.")
    ] = None,
    speed: Annotated[bool, typer.Option("--speed", help="Measure latency, throughput and memory too.")] = False,
    thresholds: Annotated[
        bool, typer.Option("--thresholds", help="Measure what thresholds keep too; goes to OUT/thresholds.md.")
    ] = False,
) -> None:
    """Measure a model beside other compressors and print the report; it is written to OUT in three formats.

    OUT gets report.md, report.json and report.html, and rows.jsonl with a line for every output.
    """
    from gist_core.evaluation.causal import CausalModel
    from gist_core.evaluation.likelihood import run_likelihood
    from gist_core.evaluation.quality import OURS, chosen_systems, chosen_tasks
    from gist_core.evaluation.reader import load_reader, run_reader
    from gist_core.evaluation.report import write_report
    from gist_core.evaluation.runner import run
    from gist_core.evaluation.settings import claim, settings_of, told
    from gist_core.loading import load_compressor

    import_from_here()
    tasks, absent = chosen_tasks(data, sets, split.value, limit)
    systems, missing = chosen_systems(load_compressor(model), system, alone=alone)
    answering = load_reader(reader) if reader else None
    predicting = CausalModel(lm) if lm else None
    settings = claim(out, settings_of(tasks, systems, model, reader, lm))
    for name in absent:
        say(f"gist: left out the set {name}: not in {data}.")
    for name, why in missing.items():
        say(f"gist: left out the system {name}: {why}")
    run(counted(tasks, "measured"), systems, out / "rows.jsonl")
    if answering:
        run_reader(answering, counted(tasks, "read"), systems, out / "answers.jsonl")
    if predicting:
        run_likelihood(predicting, counted(tasks, "predicted"), systems, out / "likelihood.jsonl")
    if speed:
        _measure_speed(systems, tasks, out)
    if thresholds:
        _measure_thresholds(systems[OURS], tasks, out)
    write_out(write_report(out, tasks, told(settings)))
