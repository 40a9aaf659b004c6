"""``gist evaluate-memory``: chat memory beside simpler memories, at equal token budgets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gist_core.cli.console import clear_errors
from gist_core.errors import InvalidInputError


@clear_errors()
def evaluate_memory(
    *,
    data: Annotated[Path, typer.Option(help="Folder with the conversations (.jsonl or .jsonl.xz).")],
    out: Annotated[Path, typer.Option(help="Folder for rows.jsonl and report.md; a run found there goes on.")],
    model: Annotated[str, typer.Option(help="'default', a folder or a hub id.")] = "default",
    sets: Annotated[list[str] | None, typer.Option("--set", help="A set of the folder; default: the README's.")] = None,
    alone: Annotated[bool, typer.Option("--alone", help="Measure chat memory without the others beside it.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Conversations of each set, and questions asked, at the most.")
    ] = None,
) -> None:
    """Measure what chat memory keeps of conversations at 4x, 10x and 20x, without and with recall; print the report."""
    from gist_core.evaluation.memory import measure_memory, systems
    from gist_core.evaluation.memory_sets import SETS, chosen_samples
    from gist_core.evaluation.quality import OURS, Tasks
    from gist_core.evaluation.settings import claim, settings_of
    from gist_core.evaluation.tasks import sets_of
    from gist_core.loading import load_compressor

    compressor = load_compressor(model)
    free, asked = systems(compressor, alone=alone)
    chosen, found = chosen_samples(sets or SETS, limit), sets_of(data)
    if absent := [name for name in chosen if name not in found]:
        raise InvalidInputError(f"There is no set {absent[0]!r} in {str(data)!r}.", hint=f"It has: {', '.join(found)}.")
    tasks = Tasks({name: found[name] for name in chosen}, {}, {name: sample.split for name, sample in chosen.items()})
    claim(out, settings_of(tasks, {OURS: compressor}, model))
    typer.echo(measure_memory(data, out, free, asked, chosen))
