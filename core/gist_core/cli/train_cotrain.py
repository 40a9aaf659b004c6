"""``gist train cotrain``, ``world``, ``query-free``, ``measure-gists``: compressor and generator trained together."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gist_core.cli.console import clear_errors, say, write_file, write_out

_DATA = "Text: a file or folder of .txt, .md, .rst, .jsonl(.xz)."


class Policy(StrEnum):
    """Who makes the gist."""

    SELECTIVE = "selective"
    GENERATIVE = "generative"


@clear_errors()
def cotrain(
    *,
    data: Annotated[Path, typer.Option(help=_DATA)],
    model: Annotated[str, typer.Option(help="Causal LM to start from, teacher and generator: a folder or a hub id.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: log, state, curves, `generator/`, `checkpoint/`.")],
    policy: Annotated[
        Policy, typer.Option(help="'selective' keeps words of the text, 'generative' writes.")
    ] = Policy.SELECTIVE,
    start: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint that the policy starts from; a generative one imitates a selective one. Default: embedded."
        ),
    ] = None,
    generator: Annotated[
        str | None, typer.Option(help="Where the generator starts, as an earlier run left it. Default: the model.")
    ] = None,
    rate: Annotated[
        list[float] | None,
        typer.Option(help="Share of the context's tokens; several in turn. Default: 0.05 0.1 0.2."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of policy and generator together.")] = 300,
    warm_steps: Annotated[int, typer.Option(min=0, help="Steps of the generator alone before them.")] = 60,
    imitation_steps: Annotated[int, typer.Option(min=0, help="Steps of the policy's warm start.")] = 200,
    anneal: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the steps in which gists shrink from half of the context.")
    ] = 0.2,
    batch: Annotated[int, typer.Option(min=1, help="Episodes a step, over all processes.")] = 16,
    micro: Annotated[int, typer.Option(min=1, help="Episodes in memory at once.")] = 16,
    context: Annotated[int, typer.Option(min=64, help="Tokens that are compressed.")] = 512,
    local: Annotated[int, typer.Option(min=1, help="Tokens seen whole, before those predicted.")] = 64,
    future: Annotated[int, typer.Option(min=1, help="Tokens predicted.")] = 128,
    policy_rate: Annotated[float, typer.Option(help="Learning rate of the policy.")] = 3e-4,
    generator_rate: Annotated[float, typer.Option(help="Learning rate of the generator.")] = 3e-4,
    lora: Annotated[bool, typer.Option("--lora", help="Train adapters instead of whole models (peft).")] = False,
    verbatim: Annotated[
        bool,
        typer.Option("--verbatim", help="A generative policy writes the text's own words only, in their order."),
    ] = False,
    extract: Annotated[
        float | None,
        typer.Option(help="A generative policy reads so many times what it writes, chosen by the start. Default: all."),
    ] = None,
    frozen_generator: Annotated[
        bool, typer.Option("--frozen-generator", help="For a closed reader: gists for the model as it is.")
    ] = False,
    fragment_price: Annotated[
        float, typer.Option(min=0, help="Price of gists that fall into pieces; above 0 they read better.")
    ] = 0.0,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Less memory for more time.")
    ] = False,
    patience: Annotated[int, typer.Option(min=0, help="Validations without a better one that end the run.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 13,
    name: Annotated[str, typer.Option(help="Name of the checkpoint.")] = "gist-cotrained",
    version: Annotated[str, typer.Option(help="Version of the checkpoint.")] = "1",
) -> None:
    """Train a compressor and a generator together on any text. A run stopped half-way goes on where it was."""
    from gist_core.loading import DEFAULT
    from gist_core.training.cotrain.episodes import EpisodeSizes
    from gist_core.training.cotrain.recipe import TextRun, cotrain_generative, cotrain_selective
    from gist_core.training.cotrain.settings import CotrainSettings

    settings = CotrainSettings(
        steps=steps,
        warm_steps=warm_steps,
        batch=batch,
        micro=micro,
        anneal=anneal,
        rates=tuple(rate or (0.05, 0.1, 0.2)),
        policy_rate=policy_rate,
        generator_rate=generator_rate,
        frozen_generator=frozen_generator,
        fragment_price=fragment_price,
        gradient_checkpointing=gradient_checkpointing,
        patience=patience,
        seed=seed,
    )
    run = TextRun(
        data=data,
        base=model,
        start=start or DEFAULT,
        sizes=EpisodeSizes(context, local, future),
        generator=generator,
        lora=lora,
        imitation_steps=imitation_steps,
        verbatim=verbatim,
        extract=extract,
    )
    train = cotrain_selective if policy is Policy.SELECTIVE else cotrain_generative
    typer.echo(f"Wrote {train(run, settings, out, name, version)}", err=True)


@clear_errors()
def world(
    *,
    out: Annotated[Path, typer.Option(help="Folder of the runs; what is found there is gone on with.")],
    seed: Annotated[list[int] | None, typer.Option(help="Seeds, one run each. Default: 1 2 3.")] = None,
    writer_seeds: Annotated[int, typer.Option(min=0, help="In so many runs a generative policy is trained too.")] = 1,
    quick: Annotated[bool, typer.Option("--quick", help="A few steps of everything: to see that it runs.")] = False,
) -> None:
    """Co-train in a world in which the best gist is known, and print what was reached beside it."""
    from dataclasses import replace

    from gist_core.training.cotrain.world_recipe import QUICK, WorldRun, report_world, run_world

    results = []
    for number, each in enumerate(seed or [1, 2, 3]):
        run = WorldRun(seed=each, **(QUICK if quick else {}))
        if number >= writer_seeds:
            run = replace(run, writer_steps=0)
        results.append(run_world(run, out / str(each), out / "lm"))
        say(f"gist: seed {each} done.")
    report = report_world(results)
    write_file(out / "report.md", report)
    write_out(report)


@clear_errors()
def query_free(
    *,
    data: Annotated[Path, typer.Option(help=_DATA)],
    questions: Annotated[Path, typer.Option(help="Folder of record sets, for the evidence of questions.")],
    model: Annotated[str, typer.Option(help="Causal LM that says what matters: a folder or a hub id.")],
    out: Annotated[Path, typer.Option(help="Folder of the run: log, state, `checkpoint/`.")],
    start: Annotated[Path | None, typer.Option(help="Selective checkpoint. Default: the embedded one.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 100,
    context: Annotated[int, typer.Option(min=64, help="Tokens that are compressed.")] = 512,
    local: Annotated[int, typer.Option(min=1, help="Tokens seen whole, before those predicted.")] = 32,
    future: Annotated[int, typer.Option(min=1, help="Tokens predicted.")] = 64,
    seed: Annotated[int, typer.Option(help="Seed of everything.")] = 13,
    name: Annotated[str, typer.Option(help="Name of the checkpoint.")] = "gist-selective",
    version: Annotated[str, typer.Option(help="Version of the checkpoint.")] = "2.0",
) -> None:
    """Train what a selective checkpoint keeps when nothing is asked; calls with a query stay as they are."""
    from gist_core.loading import DEFAULT
    from gist_core.training.cotrain.episodes import EpisodeSizes
    from gist_core.training.cotrain.query_free import QueryFreeRun, train_query_free

    sizes = EpisodeSizes(context, local, future)
    run = QueryFreeRun(data, questions, model, start or DEFAULT, sizes=sizes, steps=steps, seed=seed)
    typer.echo(f"Wrote {train_query_free(run, out, name, version)}", err=True)


@clear_errors()
def measure_gists(
    *,
    data: Annotated[Path, typer.Option(help=_DATA)],
    model: Annotated[str, typer.Option(help="The causal LM that the run started from, as the teacher.")],
    run: Annotated[list[Path], typer.Option(help="Folder of a co-training run; the first one's generator reads.")],
    out: Annotated[Path, typer.Option(help="Folder for rows.jsonl and report.md.")],
    checkpoint: Annotated[
        list[str] | None, typer.Option(help="Another checkpoint to measure beside them: a folder or a hub id.")
    ] = None,
    rate: Annotated[
        list[float] | None, typer.Option(help="Shares of the context's tokens. Default: 0.05 0.1 0.2.")
    ] = None,
    episodes: Annotated[int, typer.Option(min=1, help="Held-out episodes.")] = 200,
    context: Annotated[int, typer.Option(min=64, help="Tokens that are compressed.")] = 512,
    local: Annotated[int, typer.Option(min=1, help="Tokens seen whole, before those predicted.")] = 64,
    future: Annotated[int, typer.Option(min=1, help="Tokens predicted.")] = 128,
    seed: Annotated[int, typer.Option(help="Seed of the episodes and of random controls.")] = 13,
) -> None:
    """Measure co-trained policies on held-out text beside head, tail, random, surprising and rare words."""
    from gist_core.training.cotrain.episodes import EpisodeSizes
    from gist_core.training.cotrain.measured import MeasuredRuns, measure_runs

    sizes = EpisodeSizes(context, local, future)
    report = measure_runs(
        MeasuredRuns(
            data, model, tuple(run), tuple(checkpoint or ()), sizes, tuple(rate or (0.05, 0.1, 0.2)), episodes, seed
        ),
        out,
    )
    write_file(out / "report.md", report)
    write_out(report)
