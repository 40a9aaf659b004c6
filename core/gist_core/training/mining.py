"""Hard negatives mined by a model: of the windows without evidence it is trained on those it takes for the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gist_core.selective.signals import Special
from gist_core.training.batches import TrainingBatch, make_batch, rows_of
from gist_core.training.examples import OUTSIDE, Example, LabelledWindow

Judge = Callable[[TrainingBatch], Tensor]
"""The units of a step -> their logits, (U,)."""


def mined(examples: Sequence[Example], judge: Judge, special: Special, most: int) -> list[Example]:
    """The examples with at most ``most`` windows each, those without evidence that the judge thinks least of left out.

    A window is worth as much as its best unit; without a question there is nothing to judge by, and the first stay.
    With a judge that does not learn the outcome is a pure function. Source: negatives by an earlier state of the model,
    Xiong et al. 2020 (ANCE, arXiv 2007.00808).
    """
    long = [e for e in examples if len(e.windows) > most and e.query]
    of_window = _worth(long, judge, special) if long else {}
    return [_cut(e, of_window, most) for e in examples]


def _worth(examples: Sequence[Example], judge: Judge, special: Special) -> dict[int, float]:
    batch, rows = make_batch(examples, special), rows_of(examples)
    logits = judge(batch).float().cpu()
    worth = logits.new_full((len(rows),), -torch.inf).scatter_reduce(0, batch.unit_window, logits, "amax")
    return {id(window): value for (_, window), value in zip(rows, worth.tolist(), strict=True)}


def _cut(example: Example, worth: dict[int, float], most: int) -> Example:
    if len(example.windows) <= most:
        return example
    evidence = [w for w in example.windows if w.relevant != OUTSIDE]
    rest: list[LabelledWindow] = [w for w in example.windows if w.relevant == OUTSIDE]
    rest.sort(key=lambda window: -worth.get(id(window), 0.0))
    return replace(example, windows=evidence + rest[: max(0, most - len(evidence))])
