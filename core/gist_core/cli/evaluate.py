"""``gist evaluate``: the model beside what else one could do, at equal token budgets."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gist_core.cli.console import clear_errors


class Split(StrEnum):
    """The sides that are not trained on."""

    TEST = "test"
    VALIDATION = "validation"


@clear_errors()
def evaluate(
    *,
    data: Annotated[Path, typer.Option(help="Folder with the question-answering sets (.jsonl or .jsonl.xz).")],
    out: Annotated[Path, typer.Option(help="Folder for rows.jsonl and report.md; a run found there goes on.")],
    model: Annotated[str, typer.Option(help="'default', a folder or a hub id.")] = "default",
    split: Annotated[Split, typer.Option(help="Which side of the sets.")] = Split.TEST,
    sets: Annotated[list[str] | None, typer.Option("--set", help="A set of the folder; default: the README's.")] = None,
    alone: Annotated[bool, typer.Option("--alone", help="Measure the model without the others beside it.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Records of each set at the most.")] = None,
) -> None:
    """Measure a model beside head truncation, BM25 and all-MiniLM-L6-v2 (where installed) and print the report."""
    from gist_core.evaluation.quality import SETS, baselines, measure, model_system
    from gist_core.loading import load_compressor

    systems = {"gist": model_system(load_compressor(model)), **({} if alone else baselines())}
    chosen: dict[str, int | None] = dict.fromkeys(sets or SETS, limit) if sets or limit else SETS
    typer.echo(measure(data, out, systems, chosen, split.value))
