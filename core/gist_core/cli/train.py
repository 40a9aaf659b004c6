"""``gist train``: the recipes of trained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gist_core.cli import train_cotrain, train_language
from gist_core.cli.console import clear_errors
from gist_core.errors import InvalidInputError
from gist_core.selective.fusion import Mode, Rating

app = typer.Typer(no_args_is_help=True, help="Train a compressor, or a model to measure with.")
app.command("lm")(train_language.lm)
app.command("cotrain")(train_cotrain.cotrain)
app.command("world")(train_cotrain.world)
app.command("query-free")(train_cotrain.query_free)
app.command("measure-gists")(train_cotrain.measure_gists)
Questions = Annotated[Path, typer.Option(help="Folder with the question-answering sets (.jsonl or .jsonl.xz).")]
VOCABULARY = 24_550  # as many word pieces as fit, in int8, into 24 MiB


@app.command("selective")
@clear_errors()
def selective(
    *,
    data: Questions,
    out: Annotated[Path, typer.Option(help="Folder of the run: log, resumable state, and `checkpoint/` at the end.")],
    encoder: Annotated[
        str, typer.Option(help="BERT sentence encoder to start from: a folder or a hub id; default: all-MiniLM-L6-v2.")
    ] = "",
    start: Annotated[
        Path | None, typer.Option(help="A selective checkpoint to go on from, instead of an encoder: a folder.")
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(help="A selective checkpoint whose scores are learned too; several are an ensemble."),
    ] = None,
    mine: Annotated[
        bool,
        typer.Option("--mine", help="Train on the wrong windows that --start takes for the best."),
    ] = False,
    branch_layers: Annotated[
        int | None,
        typer.Option(help="Layers that read question and text together; default: as before, 2 of an encoder."),
    ] = None,
    steps: Annotated[int, typer.Option(min=0, help="Optimiser steps; 0 goes once through the mix.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of sampling and initial heads.")] = 13,
    name: Annotated[str, typer.Option(help="Name of the checkpoint.")] = "gist-selective",
    version: Annotated[str, typer.Option(help="Version of the checkpoint.")] = "1",
) -> None:
    """Fine-tune an encoder into a selective compressor. A run stopped half-way goes on where it was.

    One that goes on from a checkpoint (--start) leaves what that keeps without a question as it is, and the changes
    that it reads other languages with.

    A deeper encoder, or several runs, can be distilled into it (--teacher). With a longer interaction (--branch-layers)
    it finds more and takes longer.
    """
    from gist_core.encoders import encoder_folder
    from gist_core.selective.engine import load_parts
    from gist_core.training.deepening import deepened
    from gist_core.training.export import export_selective
    from gist_core.training.recipe import train_selective, untrained_parts
    from gist_core.training.selective import SelectiveRecipe

    if mine and not start:
        raise InvalidInputError("--mine has no model to mine with.", hint="Name a trained checkpoint with --start.")
    parts = load_parts(start) if start else untrained_parts(encoder_folder(encoder), seed)
    before = parts.model if start else None
    ratings: dict[Mode, Rating] = {"free": parts.ratings["free"]} if start else {}
    if branch_layers is not None:
        parts = deepened(parts, branch_layers)
    teachers = [load_parts(folder) for folder in teacher or ()]
    recipe = SelectiveRecipe(steps=steps, seed=seed)
    model = train_selective(data, out, parts, recipe, before=before, teachers=teachers, mine=mine)
    export_selective(
        model,
        parts.tokenizer,
        data,
        out,
        name=name,
        version=version,
        vocabulary=VOCABULARY,
        ratings=ratings,
        foreign=parts.foreign,
    )
    typer.echo(f"Wrote {out / 'checkpoint'}", err=True)


@app.command("languages")
@clear_errors()
def languages(
    *,
    data: Questions,
    out: Annotated[Path, typer.Option(help="Folder of the run: log, resumable state, and `checkpoint/` at the end.")],
    start: Annotated[Path, typer.Option(help="The selective checkpoint that is to read other languages: a folder.")],
    steps: Annotated[int, typer.Option(min=0, help="Optimiser steps; 0 goes once through the mix.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of sampling and of what is new.")] = 13,
    version: Annotated[str, typer.Option(help="Version of the checkpoint.")] = "1",
) -> None:
    """Teach a checkpoint other languages than English, which it reads as before. A run stopped half-way goes on."""
    from gist_core.selective.engine import load_parts
    from gist_core.training.export import export_languages
    from gist_core.training.languages import LanguagesRecipe, train_languages

    learned = train_languages(data, out, load_parts(start), LanguagesRecipe(steps=steps, seed=seed))
    export_languages(start, learned, data, out / "checkpoint", version)
    typer.echo(f"Wrote {out / 'checkpoint'}", err=True)


@app.command("calibrate")
@clear_errors()
def calibrate(
    *,
    data: Questions,
    model: Annotated[Path, typer.Option(help="Folder of a selective checkpoint; its gist.json is changed.")],
    version: Annotated[str, typer.Option(help="Version that the calibrated checkpoint gets.")],
    mode: Annotated[
        Mode, typer.Option(help="Calls with a question: in English (query), or in another language (foreign).")
    ] = "query",
    seed: Annotated[int, typer.Option(help="Seed of which questions are drawn.")] = 13,
) -> None:
    """Scale the scores of a checkpoint so that a threshold says which share of the answers it may lose.

    By the set that loses most. What is kept under a budget without a threshold stays.
    """
    from gist_core.training.export import recalibrate

    found = recalibrate(model, data, mode, version, seed)
    typer.echo(f"{mode}: logit -> {found.slope:.4f} * logit + {found.offset:.4f}", err=True)


@app.command("rating")
@clear_errors()
def rating(
    *,
    data: Questions,
    model: Annotated[Path, typer.Option(help="Folder of a selective checkpoint; it is changed.")],
    mode: Annotated[
        Mode,
        typer.Option(
            help="What is rated by it: calls with a question in English, in another language, or none; rows of tables."
        ),
    ],
    version: Annotated[str, typer.Option(help="Version that the checkpoint gets.")],
    like: Annotated[
        Path | None,
        typer.Option(help="A selective checkpoint whose rating of such calls is imitated: a folder; default: learn."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of which questions are drawn, and of the first weights.")] = 13,
) -> None:
    """Learn anew how a finished checkpoint rates the units of one kind of call; its network stays as it is."""
    from gist_core.training.export import refit

    learned = refit(model, data, mode, version, seed, like=like)
    typer.echo(f"{mode}: length exponent {learned.length_exponent}", err=True)


@app.command("reader")
@clear_errors()
def reader(
    *,
    data: Questions,
    out: Annotated[Path, typer.Option(help="Folder of the run: log, resumable state, and `checkpoint/` at the end.")],
    encoder: Annotated[
        str, typer.Option(help="BERT encoder to start from: a folder or a hub id; default: all-MiniLM-L6-v2.")
    ] = "",
    steps: Annotated[int, typer.Option(min=0, help="Optimiser steps; 0 goes once through the mix.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of sampling, dropout and the head.")] = 13,
) -> None:
    """Fine-tune an encoder into the small reader of `gist evaluate --reader`. A run stopped half-way goes on."""
    from gist_core.encoders import encoder_folder
    from gist_core.training.reader import ReaderRecipe, train_reader

    written = train_reader(data, out, encoder_folder(encoder), ReaderRecipe(steps=steps, seed=seed))
    typer.echo(f"Wrote {written}", err=True)
