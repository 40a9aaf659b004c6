"""``gist train world``: both policies co-trained in the controlled world, and what they reach beside the optimum."""

from __future__ import annotations

import copy
import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from gist_core.compressor import TextCompressor
from gist_core.device import resolve_device
from gist_core.loading import load_compressor
from gist_core.selective.config import SelectiveConfig
from gist_core.selective.engine import Parts
from gist_core.selective.model import SelectiveModel
from gist_core.training.cotrain.controls import Gister, compressed, random_words
from gist_core.training.cotrain.credit import GroupCredit
from gist_core.training.cotrain.curves import write_curves
from gist_core.training.cotrain.episodes import Episode
from gist_core.training.cotrain.generative import GenerativeObjective
from gist_core.training.cotrain.imitate import gists_loss, imitate
from gist_core.training.cotrain.judge import start_judge
from gist_core.training.cotrain.loop import Players, cotrain
from gist_core.training.cotrain.objective import SelectiveObjective, settle_prices
from gist_core.training.cotrain.policy import SelectivePolicy
from gist_core.training.cotrain.scoring import Frame
from gist_core.training.cotrain.settings import CotrainSettings
from gist_core.training.cotrain.world import (
    SEPARATOR,
    WorldEpisode,
    WorldSizes,
    invented,
    is_kept,
    named,
    world_episode,
    world_tokenizer,
)
from gist_core.training.cotrain.world_lm import WorldLmRecipe, train_world_lm
from gist_core.training.cotrain.writer import Writer
from gist_core.training.lm.bpe import GIST
from gist_core.training.lm.optimizers import optimizers

RATES = (0.05, 0.095, 0.2)
_SETTLING = 30  # steps in which the prices come to rest on the finished scores
_HELD_SEED, _TEST_SEED = 90_001, 90_002  # of episodes that no training draws: those have seeds above a million

_COLUMNS = (
    "seed",
    "policy",
    "asked rate",
    "tokens of C",
    "KL, L alone",
    "KL, gist",
    "times lower",
    "facts kept",
    "rumours a gist",
    "invented words",
    "names and values among them",
)


@dataclass(frozen=True, slots=True)
class WorldRun:
    """Settings of a run in the controlled world; ``tested`` episodes are measured at the end."""

    seed: int = 1
    sizes: WorldSizes = field(default_factory=WorldSizes)
    lm: WorldLmRecipe = field(default_factory=WorldLmRecipe)
    steps: int = 150
    warm_steps: int = 30
    batch: int = 16
    writer_steps: int = 60
    imitation_steps: int = 300
    tested: int = 200

    def settings(self) -> CotrainSettings:
        """Of the selective policy's co-training."""
        return CotrainSettings(
            steps=self.steps,
            warm_steps=self.warm_steps,
            batch=self.batch,
            micro=self.batch,
            rates=RATES,
            anneal=0.5,
            policy_rate=2e-3,
            generator_rate=5e-4,
            seed=self.seed,
        )

    def writer_settings(self) -> CotrainSettings:
        """Of the generative policy's: it starts at the asked rate, where the imitation left it."""
        return CotrainSettings(
            steps=max(1, self.writer_steps),
            warm_steps=0,
            batch=8,
            micro=8,
            rates=(RATES[1],),
            anneal=0.0,
            policy_rate=2e-4,
            generator_rate=3e-4,
            seed=self.seed,
        )

    def draw(self, step: int) -> list[Episode]:
        """The episodes of a step."""
        rng = random.Random(self.seed * 1_000_003 + step)
        return [world_episode(rng, self.sizes).episode for _ in range(self.batch)]

    def fixed(self, seed: int, count: int) -> list[WorldEpisode]:
        """Episodes that no training draws."""
        rng = random.Random(seed)
        return [world_episode(rng, self.sizes) for _ in range(count)]


QUICK: dict[str, Any] = {
    "sizes": WorldSizes(context=96),
    "lm": WorldLmRecipe(steps=4),
    "steps": 9,  # each rate comes up in the last third
    "warm_steps": 2,
    "batch": 4,
    "writer_steps": 2,
    "imitation_steps": 4,
    "tested": 6,
}
"""Settings of a run that only shows that everything runs."""


def run_world(run: WorldRun, out: Path, lm: Path) -> dict[str, Any]:
    """Train the world's model, co-train a selective policy and, with ``writer_steps``, a generative one; measure.

    Every part that is found is gone on with. Writes the model to ``lm``, which runs of other seeds may share, and to
    ``out`` ``selective/``, ``generative/`` (each with its ``checkpoint/``, ``generator/``, log and curves) and
    ``result.json``, and returns what the last one holds.
    """
    device = resolve_device("auto")
    teacher, tokenizer = _world_lm(run, lm, device)
    frame = Frame(tokenizer, SEPARATOR)
    policy = _selective(run, frame)
    generator = _generator(teacher)
    _train(run, Players(teacher, generator, policy, frame), run.settings(), out / "selective")
    makers = {"selective": _maker(out / "selective", frame)}
    readers = {"selective": generator}
    result: dict[str, Any] = {"seed": run.seed, "asked": _asked(policy, run.fixed(_TEST_SEED, run.tested))}
    if run.writer_steps:
        writer = Writer(copy.deepcopy(teacher).requires_grad_(True), frame, "", GIST, run.sizes.context)  # noqa: FBT003 - torch's own signature
        found = optimizers(writer, matrices=8e-3, rest=2e-3, weight_decay=0.0)
        loss = gists_loss(writer, policy.kept, RATES[1:2])
        imitate(writer, found, loss, run.draw, run.imitation_steps, run.batch, out / "generative")
        written, reader = GenerativeObjective(writer, RATES[1:2]), copy.deepcopy(generator)
        _train(run, Players(teacher, reader, written, frame), run.writer_settings(), out / "generative")
        makers["generative, before the guard"] = lambda text, _: written.best([text], RATES[1])[0]
        makers["generative"] = _maker(out / "generative", frame)
        readers |= {"generative, before the guard": reader, "generative": reader}
    makers["random words"], readers["random words"] = random_words(frame, run.seed), generator
    tested = run.fixed(_TEST_SEED, run.tested)
    for name, make in makers.items():
        rates = RATES if name == "selective" else RATES[1:2]
        result[name] = {str(rate): _measured(teacher, readers[name], frame, make, rate, tested) for rate in rates}
    result["optimum"] = _measured(teacher, generator, frame, _optimum(tested), 1.0, tested)
    (out / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return result


def report_world(results: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table of runs of several seeds."""
    lines = [f"| {' | '.join(_COLUMNS)} |", "|" + "---|" * len(_COLUMNS)]
    for result in results:
        for name in ("selective", "generative, before the guard", "generative", "random words"):
            for rate, row in result.get(name, {}).items():
                lines.append(_report_line(result["seed"], name, rate, row))
        lines.append(_report_line(result["seed"], "optimum: the facts and nothing else", "", result["optimum"]))
    lines += ["", "| seed | asked rate | mean rate of sampled gists |", "|---|---|---|"]
    lines += [f"| {r['seed']} | {a} | {found:.4f} |" for r in results for a, found in r["asked"].items()]
    return "\n".join(lines) + "\n"


def _report_line(seed: int, name: str, rate: str, row: Mapping[str, float]) -> str:
    cells = (
        seed,
        name,
        rate,
        f"{100 * row['share']:.2f} %",
        f"{row['kl_local']:.3f}",
        f"{row['kl']:.4f}",
        f"{row['kl_ratio']:.1f}",
        f"{100 * row['facts_kept']:.1f} %",
        f"{row['rumour_words']:.2f}",
        f"{100 * row['invented']:.2f} %",
        f"{100 * row['invented_named']:.2f} %",
    )
    return f"| {' | '.join(map(str, cells))} |"


def _world_lm(run: WorldRun, folder: Path, device: torch.device) -> tuple[Any, Any]:
    if not (folder / "config.json").exists():
        fresh, tokenizer = train_world_lm(run.sizes, run.lm, device)
        fresh.save_pretrained(folder.with_name(".lm"))
        tokenizer.save_pretrained(folder.with_name(".lm"))
        shutil.rmtree(folder, ignore_errors=True)
        folder.with_name(".lm").rename(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.to(device)
    return model.eval().requires_grad_(False), world_tokenizer()  # noqa: FBT003 - torch's own signature


def _generator(teacher: Any) -> Any:
    return copy.deepcopy(teacher).requires_grad_(True)  # noqa: FBT003 - torch's own signature


def _selective(run: WorldRun, frame: Frame) -> SelectiveObjective:
    """An encoder that knows nothing: two layers, 64 wide."""
    torch.manual_seed(run.seed)
    window = run.sizes.context + 44
    config = SelectiveConfig(
        vocab_size=len(frame.tokenizer),
        hidden_size=64,
        num_heads=4,
        intermediate_size=128,
        max_positions=window,
        shared_layers=1,
        branch_layers=1,
        window_tokens=window - 4,
        query_tokens=8,
        granularity="word",
    )
    model = SelectiveModel(config)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.05)
    model.embeddings.position.weight.data.copy_(_waves(window, config.hidden_size))
    parts = Parts(model, frame.tokenizer.backend_tokenizer, {})
    return SelectiveObjective(SelectivePolicy(parts, whole=True), frame, GroupCredit())


def _waves(positions: int, width: int) -> Tensor:
    """(positions, width) sine and cosine waves (Vaswani et al. 2017, arXiv 1706.03762), to find neighbours by."""
    angles = torch.arange(positions)[:, None] / 10_000 ** (torch.arange(0, width, 2) / width)
    return 0.05 * torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)


def _train(run: WorldRun, players: Players, settings: CotrainSettings, out: Path) -> None:
    held = [w.episode for w in run.fixed(_HELD_SEED, 64)]
    cotrain(players, lambda step: run.draw(step)[: settings.batch], held, settings, out)
    if isinstance(players.objective, SelectiveObjective):
        fresh = [[e.context for e in run.draw(run.warm_steps + run.steps + step)] for step in range(_SETTLING)]
        settle_prices(players.objective, fresh, RATES)
    players.objective.export(out / "checkpoint", "gist-world", str(run.seed))
    players.generator.save_pretrained(out / "generator")
    write_curves(out / "log.jsonl", out / "curves.html")


def _asked(policy: SelectiveObjective, tested: Sequence[WorldEpisode]) -> dict[str, float]:
    """Asked rate -> mean rate of a sampled gist of each tested context."""
    rngs = [np.random.default_rng([7, i]) for i in range(len(tested))]
    contexts = [w.episode.context for w in tested]
    return {str(asked): policy.sampled_rate(contexts, asked, rngs) for asked in RATES}


def _maker(folder: Path, frame: Frame) -> Gister:
    """What users get: the checkpoint behind ``load_compressor``."""
    compressor: TextCompressor = load_compressor(str(folder / "checkpoint"))
    return compressed(compressor, frame)


def _optimum(tested: Sequence[WorldEpisode]) -> Gister:
    facts = {w.episode.context: " ".join(f.text for f in w.facts) for w in tested}
    return lambda context, _: facts[context]


def _measured(
    teacher: Any, generator: Any, frame: Frame, make: Gister, rate: float, tested: Sequence[WorldEpisode]
) -> dict[str, float]:
    episodes = [w.episode for w in tested]
    sizes = [len(frame.ids(e.context)) for e in episodes]
    gists = [make(e.context, int(rate * size)) for e, size in zip(episodes, sizes, strict=True)]
    kl, local = [], []
    for at in range(0, len(episodes), 32):
        judge = start_judge(teacher, generator, frame, episodes[at : at + 32])
        kl.append(judge.divergences(gists[at : at + 32], range(len(judge.episodes))))
        local.append(judge.kl_local)
    words = sum(len(g.split()) for g in gists)
    facts = [(f, g) for w, g in zip(tested, gists, strict=True) for f in w.facts]
    return {
        "share": float(np.mean([len(frame.ids(g)) / s for g, s in zip(gists, sizes, strict=True)])),
        "kl_local": float(torch.cat(local).mean()),
        "kl": float(torch.cat(kl).mean()),
        "kl_ratio": float(torch.cat(local).mean() / torch.cat(kl).mean()),
        "facts_kept": float(np.mean([is_kept(f, g) for f, g in facts])),
        "rumour_words": float(np.mean([g.split().count("rumour") for g in gists])),
        "invented": sum(invented(g, e.context) for g, e in zip(gists, episodes, strict=True)) / max(1, words),
        "invented_named": sum(invented(named(g), e.context) for g, e in zip(gists, episodes, strict=True))
        / max(1, words),
    }
