"""``gist evaluate``: any compressor on any task beside what else one could do, at equal token budgets."""

from __future__ import annotations

from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gist_core.cli.console import clear_errors, say, write_file, write_out

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

    run_thresholds(compressor, tasks, out / "thresholds.jsonl")
    write_file(out / "thresholds.md", thresholds_table(read_rows(out / "thresholds.jsonl")))


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
    from gist_core.evaluation.quality import OURS, chosen_systems, chosen_tasks, measure
    from gist_core.evaluation.report import write_report
    from gist_core.loading import load_compressor

    tasks, absent = chosen_tasks(data, sets, split.value, limit)
    systems, missing = chosen_systems(load_compressor(model), system, alone=alone)
    for name in absent:
        say(f"gist: left out the set {name}: not in {data}.")
    for name, why in missing.items():
        say(f"gist: left out the system {name}: {why}")
    measure(tasks, systems, out)
    if reader:
        from gist_core.evaluation.reader import load_reader, run_reader

        run_reader(load_reader(reader), tasks, systems, out / "answers.jsonl")
    if lm:
        from gist_core.evaluation.causal import CausalModel
        from gist_core.evaluation.likelihood import run_likelihood

        run_likelihood(CausalModel(lm), tasks, systems, out / "likelihood.jsonl")
    if speed:
        from gist_core.evaluation.speed import run_speed

        texts = [passage.text for case in islice(tasks, _CASES_FOR_SPEED) for passage in case.passages]
        run_speed(systems, out / "speed.jsonl", texts, longest=(OURS,))
    if thresholds:
        _measure_thresholds(systems[OURS], tasks, out)
    write_out(write_report(out, tasks, {"model": model, "data": data.name, "split": split.value}))
