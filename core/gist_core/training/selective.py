"""Fine-tune the interaction branch: the step, the schedule, resuming, logging. One GPU or CPU through accelerate.

Left out on purpose: data-parallel training (the whole run takes about an hour on two CPU cores) and early
stopping (the shipped checkpoint is the last one; the log shows validation loss throughout). The shared
layers and the embedding branch stay frozen, so the cosines stay those of the pretrained encoder. A run that goes on
from a checkpoint leaves what that says of calls without a question as it is: the branch is shared with them.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from gist_core.selective.fusion import Fusion
from gist_core.selective.model import FRAME, SelectiveModel
from gist_core.selective.pooling import pool_logits
from gist_core.selective.signals import Special
from gist_core.training.batches import TrainingBatch, make_batch
from gist_core.training.examples import ANSWER, Example
from gist_core.training.losses import answer_loss, distillation_loss, ranking_loss, token_loss, unit_loss, unit_targets
from gist_core.training.mixture import Mixture
from gist_core.training.precision import mixed_precision
from gist_core.training.reading import Reading, change, read_batch
from gist_core.training.steps import Data, Draw, Pace, take_steps
from gist_core.training.teachers import Teachers

TRAINED = ("interaction_branch", "side", "keep_head", "relevance_head", "mixture")


@dataclass(frozen=True, slots=True)
class SelectiveRecipe(Pace):
    """Settings of a run."""

    learning_rate: float = 1e-4
    head_learning_rate: float = 5e-4
    pull: float = 1e-4  # share of the way back to the initial weights, each step
    teaching: float = 1.0  # weight of what teachers say, where there are any


class Trainee(nn.Module):
    """The model and how its unit scores are mixed with what it cannot change: word overlap.

    The network learns what the others do not know. ``mixture`` only serves training; the fusion that ships is fitted
    afterwards, on validation questions.
    """

    def __init__(self, model: SelectiveModel, fusions: Mapping[str, Fusion]) -> None:
        super().__init__()
        self.model = model
        self.mixture = nn.ModuleDict({mode: Mixture(fusion) for mode, fusion in fusions.items()})


@dataclass(frozen=True, slots=True)
class Frozen:
    """What a run does not train: the ``special`` ids, of a run that goes on from a checkpoint what that was ``before``,

    and who else it learns from, with the weight of that.
    """

    special: Special
    before: SelectiveModel | None
    teachers: Teachers | None = None
    teaching: float = 1.0


def losses(trainee: Trainee, frozen: Frozen, examples: Sequence[Example]) -> dict[str, Tensor]:
    """Forward pass and the parts of the loss of one step, to be added up."""
    if frozen.before is None:
        return _learned(trainee, frozen, make_batch(examples, frozen.special))
    asked, free = ([e for e in examples if bool(e.query) == wanted] for wanted in (True, False))
    parts = _learned(trainee, frozen, make_batch(asked, frozen.special)) if asked else {}
    if free:
        batch = make_batch(free, frozen.special)
        parts["free"] = change(trainee.model, frozen.before, batch)
    return parts


def _learned(trainee: Trainee, frozen: Frozen, batch: TrainingBatch) -> dict[str, Tensor]:
    read = read_batch(trainee.model, batch)
    question = read.question
    scores = pool_logits(read.keep, read.unit, len(question))
    asked = (batch.query_mask.sum(dim=1) > FRAME).to(question.device)[question]
    signals = read.signals(scores)
    with_query, without = (trainee.mixture[m](signals) for m in ("query", "free"))
    parts = reading_losses(read, batch, scores, torch.where(asked, with_query, without))
    if frozen.teachers is not None:
        taught = frozen.teachers(batch)[asked]
        loss = distillation_loss(with_query[asked], taught, question[asked], len(batch.query_ids))
        parts["teacher"] = frozen.teaching * loss
    return parts


def reading_losses(read: Reading, batch: TrainingBatch, scores: Tensor, mixed: Tensor) -> dict[str, Tensor]:
    """The parts of the loss, to be added up; ``scores`` and ``mixed`` (U,): pooled keep logits, and with all else."""
    question = read.question
    targets, groups = unit_targets(read.labels, read.unit, len(question)), len(batch.query_ids)
    known, token_question = read.labels >= 0, question[read.unit]
    return {
        "mixed": ranking_loss(mixed, targets, question, groups),
        "rank": 0.5 * ranking_loss(scores + read.relevance[read.window], targets, question, groups),
        "unit": 0.5 * unit_loss(scores, targets),
        "token": 0.5 * token_loss(read.keep, read.labels),
        "answer": 0.5 * answer_loss(read.keep, read.labels == ANSWER, known, token_question, groups),
        "relevance": 0.5 * F.binary_cross_entropy_with_logits(read.relevance, read.relevant),
    }


def train(
    model: SelectiveModel,
    data: Data,
    special: Special,
    recipe: SelectiveRecipe,
    out: Path,
    fusions: Mapping[str, Fusion],
    *,
    before: SelectiveModel | None = None,
    teachers: Teachers | None = None,
) -> SelectiveModel:
    """Train in place and return the model.

    Args:
        model: Start, usually ``from_pretrained_encoder``.
        data: What is read.
        special: Framing token ids.
        recipe: Settings.
        out: Folder for ``log.jsonl`` and ``state.pt``; a run found there is resumed.
        fusions: Where the mixtures start: ``query`` and ``free``.
        before: What the run goes on from, if that is a trained model: what it says without a question is to stay.
        teachers: Whom to learn from beside the labels.
    """
    accelerator = Accelerator(mixed_precision=mixed_precision())
    trainee = Trainee(model, fusions)
    trainee, optimizer = accelerator.prepare(trainee, _optimizer(trainee, recipe))
    earlier = None if before is None else copy.deepcopy(before).to(accelerator.device).eval()
    frozen = Frozen(special, earlier, teachers, recipe.teaching)
    model.train()
    anchors = _Anchors(trainee)
    take_steps(
        recipe,
        data,
        trainee,
        optimizer,
        lambda some: losses(trainee, frozen, some),
        out,
        accelerator=accelerator,
        more={"anchors": anchors},
        after=lambda: anchors.pull(trainee, recipe.pull),
    )
    return model.eval()


def _optimizer(trainee: Trainee, recipe: SelectiveRecipe) -> torch.optim.AdamW:
    layers: list[nn.Parameter] = []
    heads: list[nn.Parameter] = []
    for name, parameter in trainee.named_parameters():
        part = name.removeprefix("model.").split(".")[0]
        parameter.requires_grad_(part in TRAINED)
        if part in TRAINED:
            (layers if part == "interaction_branch" else heads).append(parameter)
    groups = [{"params": layers, "lr": recipe.learning_rate}, {"params": heads, "lr": recipe.head_learning_rate}]
    return torch.optim.AdamW(groups, weight_decay=0.0, betas=(0.9, 0.98))


class _Anchors:
    """The weights that the interaction branch started from; a resumed run has those of its start."""

    def __init__(self, trainee: Trainee) -> None:
        self._start = {n: p.detach().clone() for n, p in trainee.named_parameters() if "interaction_branch" in n}

    @torch.no_grad()
    def pull(self, trainee: Trainee, share: float) -> None:
        """Bring the branch a ``share`` of the way back."""
        for name, parameter in trainee.named_parameters():
            if name in self._start:
                parameter.lerp_(self._start[name], share)

    def state_dict(self) -> dict[str, Tensor]:
        """What ``save_state`` writes."""
        return self._start

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """What ``resume_state`` reads."""
        self._start = state


def sampler(pools: dict[str, list[Example]], rng_seed: int, per_step: int) -> Draw:
    """A fixed shuffled order over all pools, cut into steps; starts over with a new order when used up."""
    everything = [e for name in sorted(pools) for e in pools[name]]

    def step(number: int) -> Sequence[Example]:
        first = number * per_step
        epoch, at = divmod(first, max(len(everything), 1))
        order = list(range(len(everything)))
        random.Random(f"{rng_seed}-{epoch}").shuffle(order)
        order += order[:per_step]
        return [everything[i] for i in order[at : at + per_step]]

    return step
