"""``gist train lm``: a small language model from scratch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gist_core.cli.console import clear_errors


@clear_errors()
def lm(
    *,
    data: Annotated[Path, typer.Option(help="Text to learn from: a file or folder of .txt, .md, .rst, .jsonl(.xz).")],
    out: Annotated[Path, typer.Option(help="Folder of the run: log, resumable state, and `checkpoint/` at the end.")],
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = 2_000,
    batch: Annotated[int, typer.Option(min=1, help="Windows a step, over all processes.")] = 8,
    length: Annotated[int, typer.Option(min=8, help="Tokens of a window.")] = 704,
    width: Annotated[int, typer.Option(min=32, help="Width of the model, a multiple of heads.")] = 256,
    layers: Annotated[int, typer.Option(min=2, help="Layers: convolution and attention in turn.")] = 5,
    heads: Annotated[int, typer.Option(min=1, help="Attention heads.")] = 4,
    vocabulary: Annotated[int, typer.Option(min=300, help="Tokens of the byte-level BPE tokenizer.")] = 4_096,
    seed: Annotated[int, typer.Option(help="Seed of weights and order.")] = 13,
) -> None:
    """Train a tokenizer and a causal language model from nothing but text. A run stopped half-way goes on.

    The defaults make 5 million parameters, for a CPU. The checkpoint is a folder that transformers opens.
    """
    from gist_core.errors import InvalidInputError
    from gist_core.training.lm.model import LmShape
    from gist_core.training.lm.recipe import LmRecipe, train_lm

    if width % heads:
        raise InvalidInputError(f"width {width} is not a multiple of heads {heads}.", hint="Choose 256 and 4, say.")
    shape = LmShape(width, layers, heads, max(2_048, 2 * length))
    recipe = LmRecipe(shape=shape, vocabulary=vocabulary, length=length, steps=steps, batch=batch, seed=seed)
    typer.echo(f"Wrote {train_lm(data, out, recipe)}", err=True)
