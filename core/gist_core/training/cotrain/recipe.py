"""``gist train cotrain``: from any text and a base model to a checkpoint that ``load_compressor`` opens."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from gist_core.checkpoint import EXTRACTOR, read_manifest
from gist_core.errors import CheckpointError, InvalidInputError
from gist_core.generative import engine as generative
from gist_core.selective.engine import Parts, load_parts
from gist_core.selective.model import FRAME, SelectiveModel
from gist_core.training.cotrain.credit import GroupCredit
from gist_core.training.cotrain.curves import write_curves
from gist_core.training.cotrain.episodes import Draw, EpisodeSizes, drawer, read_episodes
from gist_core.training.cotrain.extracts import Extracts
from gist_core.training.cotrain.generative import GenerativeObjective
from gist_core.training.cotrain.imitate import extracts_loss, gists_loss, imitate
from gist_core.training.cotrain.loop import Players, cotrain
from gist_core.training.cotrain.objective import Objective, SelectiveObjective
from gist_core.training.cotrain.policy import SelectivePolicy
from gist_core.training.cotrain.saliency import saliency_loss
from gist_core.training.cotrain.scoring import Frame
from gist_core.training.cotrain.settings import CotrainSettings
from gist_core.training.cotrain.writer import Writer
from gist_core.training.hub import load_causal, merged, teacher_and_learner, with_lora
from gist_core.training.lm.bpe import GIST
from gist_core.training.lm.optimizers import optimizers

SEPARATOR = "\n\n"
CHECKPOINT, GENERATOR = "checkpoint", "generator"
INSTRUCTION = "Write down, as briefly as you can, what one must know of this text to predict what follows.\n\n"
BEHIND = "\n\nBriefly, in {percent} % of its length:"
ASKED = f"{GIST}{{percent}}%"
_AROUND = 1  # words on either side whose scores count too in the gists that a writer imitates: it copies stretches best
_IMITATION_RATE = 1.5e-3  # far above what a rewarded writer bears


@dataclass(frozen=True, slots=True)
class TextRun:
    """What a run on real text is made of.

    Attributes:
        data: A corpus (``read_corpus``).
        base: Folder or hub id of the causal LM that is teacher, generator and, if generative, policy at the start.
        generator: Folder or hub id of the generator's first weights, if not the base's: what a run left in
            ``generator/`` can read gists already.
        start: Folder of the checkpoint that the policy starts from. A generative policy imitates a selective start, and
            goes on from a generative one without imitation.
        sizes: Tokens of C, L and F.
        lora: Train adapters instead of whole models.
        imitation_steps: Of the policy's warm start: a selective one imitates where the teacher looks, a generative one
            the gists of the start.
        verbatim: A generative policy may write nothing but words of C, in their order.
        extract: A generative policy reads what the start keeps at so many times the rate; None: all of C.
        held: Held-out episodes of the validations.
    """

    data: Path
    base: str
    start: Path
    sizes: EpisodeSizes = field(default_factory=EpisodeSizes)
    generator: str | None = None
    lora: bool = False
    imitation_steps: int = 200
    verbatim: bool = False
    extract: float | None = None
    held: int = 96

    def __post_init__(self) -> None:
        if self.extract is not None and not 1 <= self.extract < float("inf"):
            raise InvalidInputError(f"extract is {self.extract!r}.", hint="Give 1 or more times a gist's size.")


def cotrain_selective(run: TextRun, settings: CotrainSettings, out: Path, name: str, version: str) -> Path:
    """Co-train words kept by an encoder; returns the checkpoint's folder.

    Raises:
        CheckpointError: The base or the start cannot be loaded.
        InvalidInputError: The corpus holds no text of an episode's length on one of its sides, or the run is verbatim.
    """
    if run.verbatim:
        raise InvalidInputError("verbatim is for a generative policy.", hint="A selective one never does otherwise.")
    if run.extract is not None:
        raise InvalidInputError("extract is for a generative policy.", hint="A selective one reads everything.")

    def objective(cast: _Cast) -> Objective:
        keep = _selective(run.start, cast.frame, settings)
        found = torch.optim.AdamW(keep.policy.trained(), lr=settings.policy_rate, betas=(0.9, 0.95), weight_decay=0.0)
        loss = saliency_loss(keep.policy, cast.teacher, cast.frame)
        imitate(keep.policy, (found,), loss, cast.draw, run.imitation_steps, settings.micro, out)
        return keep

    return _cotrained(run, settings, objective, out, name, version)


def cotrain_generative(run: TextRun, settings: CotrainSettings, out: Path, name: str, version: str) -> Path:
    """Co-train a causal LM that writes gists, after it has imitated the start; returns the checkpoint's folder.

    A start that is generative itself is gone on with, in the frame and beside the rates that it was trained in, and
    reads what it read.

    Raises:
        CheckpointError, InvalidInputError: As ``cotrain_selective``; or the start has another vocabulary than the base,
            or an extract is to be read by a start that is generative.
    """
    settings = replace(settings, anneal=0.0)  # imitation, or an earlier run, leaves the policy at the asked rates
    goes_on = read_manifest(run.start).kind == generative.KIND
    if goes_on and run.extract is not None:
        raise InvalidInputError(
            "extract is for a selective start.", hint="A writer that goes on reads what it read: leave it out."
        )

    def objective(cast: _Cast) -> Objective:
        if goes_on:
            return _going_on(run, settings, cast.frame)
        keep, writer = _frozen(run.start, cast.frame, settings), _writer(run, cast.frame)
        extracts = None if run.extract is None else Extracts(keep, run.extract)
        found = optimizers(writer, matrices=4 * _IMITATION_RATE, rest=_IMITATION_RATE, weight_decay=0.0)
        if extracts is None:
            loss = gists_loss(writer, partial(keep.kept, around=_AROUND), settings.rates)
        else:
            loss = extracts_loss(writer, extracts, settings.rates)
        imitate(writer, found, loss, cast.draw, run.imitation_steps, settings.micro, out)
        return GenerativeObjective(writer, settings.rates, extracts)

    return _cotrained(run, settings, objective, out, name, version)


def word_parts(parts: Parts) -> Parts:
    """The same weights as a model that chooses among words, in windows as long as its positions allow.

    What a word is worth hangs on how far from the end it stands, and only a window that holds all of C can tell.
    """
    return parts_with(parts, granularity="word", window_tokens=parts.model.config.max_positions - FRAME)


def parts_with(parts: Parts, **changes: Any) -> Parts:
    """A copy of the weights as a model whose config differs in ``changes``.

    What reads other languages is left behind: it fits the weights as they were.
    """
    model = SelectiveModel(replace(parts.model.config, **changes))
    model.load_state_dict(parts.model.state_dict())
    return replace(parts, model=model, foreign=None)


@dataclass(frozen=True, slots=True)
class _Cast:
    """Who is there before the policy is: what its warm start needs."""

    teacher: Any
    frame: Frame
    draw: Draw


def _cotrained(
    run: TextRun,
    settings: CotrainSettings,
    objective: Callable[[_Cast], Objective],
    out: Path,
    name: str,
    version: str,
) -> Path:
    torch.manual_seed(settings.seed)
    base, tokenizer = load_causal(run.base)
    frame = Frame(tokenizer, SEPARATOR)
    draw = drawer(read_episodes(run.data, "train", tokenizer, run.sizes, settings.seed), settings.batch, settings.seed)
    held = read_episodes(run.data, "validation", tokenizer, run.sizes, settings.seed)[: run.held]
    teacher, generator = teacher_and_learner(base, run.generator and load_causal(run.generator)[0], lora=run.lora)
    players = Players(teacher, generator, objective(_Cast(teacher, frame, draw)), frame)
    cotrain(players, draw, held, settings, out)
    with PartialState().main_process_first():
        if PartialState().is_main_process:
            _finish(players, run, settings, out, name, version)
    return out / CHECKPOINT


def _selective(start: Path, frame: Frame, settings: CotrainSettings) -> SelectiveObjective:
    policy = SelectivePolicy(word_parts(load_parts(start)), whole=False)
    return SelectiveObjective(policy, frame, GroupCredit(), settings.fragment_price)


def _frozen(start: Path, frame: Frame, settings: CotrainSettings) -> SelectiveObjective:
    """A selective policy that others learn from or read by; it is not trained."""
    found = _selective(start, frame, settings)
    found.policy.to(PartialState().device)
    return found


def _writer(run: TextRun, frame: Frame) -> Writer:
    """A model whose vocabulary has the gist token is told by it; any other by an instruction."""
    base, tokenizer = load_causal(run.base)
    own = tokenizer.convert_tokens_to_ids(GIST)
    knows = own is not None and own != tokenizer.unk_token_id
    lm = with_lora(base) if run.lora else base.float()
    before, after = ("", ASKED) if knows else (INSTRUCTION, BEHIND)
    return Writer(lm, frame, before, after, run.sizes.context, verbatim=run.verbatim)


def _going_on(run: TextRun, settings: CotrainSettings, frame: Frame) -> GenerativeObjective:
    """The writer of a checkpoint; what it leaves behind says that it knows the rates of then and of now."""
    parts = generative.load_parts(run.start)
    if parts.tokenizer.get_vocab() != frame.tokenizer.get_vocab():
        raise CheckpointError(
            f"The start {run.start.name!r} has another vocabulary than the model {run.base!r}.",
            hint="Name the model that it was trained with.",
        )
    lm, config = with_lora(parts.model) if run.lora else parts.model, parts.config
    verbatim = config.verbatim or run.verbatim
    writer = Writer(lm, frame, config.before, config.after, config.context_tokens, verbatim=verbatim)
    times = config.extract
    extracts = None if times is None else Extracts(_frozen(run.start / EXTRACTOR, frame, settings), times)
    return GenerativeObjective(writer, sorted({*config.rates, *settings.rates}), extracts)


def _finish(players: Players, run: TextRun, settings: CotrainSettings, out: Path, name: str, version: str) -> None:
    players.objective.export(out / CHECKPOINT, name, version)
    merged(players.generator).save_pretrained(out / GENERATOR)
    players.frame.tokenizer.save_pretrained(out / GENERATOR)
    named = {"data": run.data.name, "start": run.start.name, "generator": run.generator and Path(run.generator).name}
    written = {"run": asdict(run) | named, "settings": asdict(settings)}
    (out / "recipe.json").write_text(json.dumps(written, indent=2, default=str) + "\n", encoding="utf-8")
    write_curves(out / "log.jsonl", out / "curves.html")
