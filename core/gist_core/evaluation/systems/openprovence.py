"""OpenProvence: a model that rates the sentences of a passage for a question, from any of its checkpoints.

A checkpoint brings its own Python code, which runs with your rights once it is loaded. So there is no default and no
silent download: whoever names a checkpoint, as an argument or as GIST_OPENPROVENCE in the environment, lets its code
run. That code needs ``nltk``. Checkpoints: https://github.com/hotchpotch/open_provence (MIT licence).

It has a threshold and no budget. Here it rates the same sentences as every other system, and they are chosen by the
same code.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from gist_core.errors import CheckpointError, CompressionError
from gist_core.evaluation.systems.units import Floats, Ints, UnitCompressor

VARIABLE = "GIST_OPENPROVENCE"


def openprovence(checkpoint: str = "") -> UnitCompressor:
    """The checkpoint named: its Python code is run.

    Args:
        checkpoint: Folder or hub id, e.g. ``hotchpotch/open-provence-reranker-xsmall-v1``; if not given,
            GIST_OPENPROVENCE of the environment.

    Raises:
        CheckpointError: None is named, it cannot be loaded, or it is no OpenProvence model.
    """
    name = checkpoint or os.environ.get(VARIABLE, "")
    if not name:
        raise CheckpointError(
            "OpenProvence needs a checkpoint, whose Python code will run on this machine.",
            hint=f"If you trust it, name its folder or hub id: {VARIABLE}=hotchpotch/open-provence-reranker-xsmall-v1.",
        )
    return UnitCompressor(f"openprovence ({name})", _Rater(_load(name)))


class _Rater:
    """Probabilities of units, all passages in one call."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __call__(self, query: str, units: Sequence[str], texts: Sequence[str], owner: Ints) -> Floats:
        sentences: list[list[str]] = [[] for _ in texts]
        for unit, place in zip(units, owner.tolist(), strict=True):
            sentences[place].append(f"{unit} ")  # it joins them with nothing between
        filled = [own for own in sentences if own]
        found = self._model.process(question=query, context=filled, title=None, return_sentence_metrics=True)
        rated = [list(map(float, own)) for own in found["sentence_probabilities"]]
        if list(map(len, rated)) != list(map(len, filled)):
            raise CompressionError(
                f"OpenProvence rated {sum(map(len, rated))} of {len(units)} sentences.",
                hint="Is the checkpoint of another version than v1?",
            )
        return np.array([value for own in rated for value in own], dtype=np.float64)


def _load(name: str) -> Any:
    import transformers

    library: Any = transformers  # parts of it are untyped
    try:
        model = library.AutoModel.from_pretrained(name, trust_remote_code=True).eval()
    except Exception as error:  # the hub client, transformers and the checkpoint's own code raise theirs
        raise CheckpointError(
            f"{name!r} cannot be loaded: {type(error).__name__}: {error}",
            hint=f"Check the network and that nltk is installed, or name a local folder: {VARIABLE}=FOLDER.",
        ) from error
    if not hasattr(model, "process"):
        raise CheckpointError(
            f"{name!r} is a {type(model).__name__}, not of OpenProvence.", hint="Its models have a method process()."
        )
    return model
