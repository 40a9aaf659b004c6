"""Learn how the signals of a unit add up, on the validation split: what the network has not been trained on.

The loss is the listwise one of the network plus a binary one that calibrates the score as a probability; every
set weighs the same. Then the length exponent is chosen, how much a unit's size counts against it when the
budget is short. Last come two calibrations: by the mean over sets, which puts all kinds of units on one scale, and by
the worst set, so that a threshold says which share of the answers it may lose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gist_core.cases import Case
from gist_core.metadata import title_of
from gist_core.passage import Span
from gist_core.segment import Kind
from gist_core.selective.engine import Engine
from gist_core.selective.fusion import AS_IT_IS, SIGNALS, Calibration, Fusion, Mode
from gist_core.selective.signals import prepare, signals
from gist_core.training.mixture import FusionLayers

Floats = NDArray[np.float32]
EXPONENTS = (0.0, 0.15, 0.3, 0.45, 0.6, 0.8, 1.0)
RATES = (4, 10, 20)
SAME_LOGITS = 0.1  # two machines that learn the same fusion come nearer than this on the mean


@dataclass(frozen=True, slots=True)
class Rated:
    """The units of one case: ``signals`` (U, F), ``evidence`` (U,) 0 or 1, ``sizes`` (U,) in tokens."""

    set: str
    signals: Floats
    evidence: Floats
    sizes: Floats


def rate_cases(engine: Engine, cases: Sequence[Case], mode: Mode) -> list[Rated]:
    """Signals and labels of every unit of the cases; cases of another mode or without evidence are left out.

    Of ``"rows"`` the rows of tables alone count, in calls of the mode ``"query"``.
    """
    rated = []
    for case in cases:
        if not any(case.evidence):
            continue
        titles = [title_of(p.metadata) for p in case.passages]
        texts = [p.text for p in case.passages]
        read = read_units(engine, texts, None if mode == "free" else case.query, titles)
        if read.mode != ("query" if mode == "rows" else mode):
            continue
        evidence = np.array([_is_evidence(span, case.evidence[i]) for i, span in read.spans], dtype=np.float32)
        counts = read.is_row if mode == "rows" else np.ones(len(evidence), dtype=np.bool_)
        if evidence[counts].any():
            rated.append(Rated(case.set, read.signals[counts], evidence[counts], read.sizes[counts]))
    return rated


class ReadUnits(NamedTuple):
    """The units of a call: ``spans`` with the number of their text, ``signals`` (U, F), ``sizes`` (U,) in tokens.

    ``is_row`` (U,): whether a unit is the row of a table.
    """

    mode: Mode
    spans: list[tuple[int, Span]]
    signals: Floats
    sizes: Floats
    is_row: NDArray[np.bool_]


def read_units(engine: Engine, texts: Sequence[str], query: str | None, titles: Sequence[str] = ()) -> ReadUnits:
    """What the fusion is told of every unit of some texts."""
    tokenizer, config = engine.parts.tokenizer, engine.parts.model.config
    made = prepare(texts, query, tokenizer, config, titles, engine.foreign_tokenizer)
    found = signals(made, engine.worker.submit(made.items).result())
    spans = [(i, s.span) for i, group in enumerate(made.segments) for s in group]
    sizes = np.bincount(made.cut.tokens.unit, minlength=len(spans)).astype(np.float32)
    is_row = np.array([s.kind is Kind.TABLE_ROW for group in made.segments for s in group], dtype=np.bool_)
    return ReadUnits(made.mode, spans, found.units, sizes, is_row)


def _is_evidence(span: Span, evidence: Sequence[Span]) -> bool:
    for e in evidence:
        inside = min(e.end, span.end) - max(e.start, span.start)
        if inside > 0 and inside >= 0.5 * min(e.end - e.start, span.end - span.start):
            return True
    return False


def fit_fusion(rated: Sequence[Rated], *, hidden: int = 1, steps: int = 300, seed: int = 13) -> Fusion:
    """Fit on all cases at once with Adam; deterministic for a seed.

    One hidden unit: eight fitted the validation split better and new cases worse (core/decisions/log.md).
    """
    torch.manual_seed(seed)
    x = torch.from_numpy(np.concatenate([r.signals for r in rated]))
    mean, scale = x.mean(0), x.std(0).clamp(min=1e-3)
    x = (x - mean) / scale
    target = torch.from_numpy(np.concatenate([r.evidence for r in rated]))
    group = torch.repeat_interleave(torch.tensor([len(r.evidence) for r in rated]))
    share = set_shares(rated)
    network = FusionLayers(len(SIGNALS), hidden)
    nn.init.normal_(network.output.weight, std=0.05)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.02, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        logits = network(x)
        calibration = nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        per_case = torch.zeros(len(rated)).index_add(0, group, calibration) / torch.bincount(group)
        loss = _weighted_ranking(logits, target, group, share) + 2.0 * (per_case * share).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch declares no type
        optimizer.step()
        schedule.step()
    state = {k: v.detach().numpy() for k, v in network.state_dict().items()}
    return Fusion(
        mean.numpy(),
        scale.numpy(),
        state["linear.weight"][0].copy(),
        np.ascontiguousarray(state["hidden.weight"].T),
        state["hidden.bias"],
        state["output.weight"][0].copy(),
        state["linear.bias"],
    )


def set_shares(rated: Sequence[Rated]) -> Tensor:
    """(C,) what each case counts: every set alike, and one in all."""
    names = [r.set for r in rated]
    shares = torch.tensor([1.0 / names.count(n) for n in names])
    return shares / shares.sum()


def _weighted_ranking(logits: Tensor, target: Tensor, group: Tensor, share: Tensor) -> Tensor:
    weights = (logits - logits.detach().max()).clamp(min=-60).exp()
    mass = torch.zeros(len(share)).index_add(0, group, weights)
    good = torch.zeros(len(share)).index_add(0, group, weights * target)
    return -((good + 1e-30) / (mass + 1e-30)).log().mul(share).sum()


def held_out_logits(rated: Sequence[Rated], folds: int = 5, seed: int = 13) -> list[Floats]:
    """The logits of every case's units, (U,) each, by fusions fitted on other cases."""
    fusions = [fit_fusion([r for i, r in enumerate(rated) if i % folds != f], seed=seed) for f in range(folds)]
    return [fusions[i % folds](r.signals) for i, r in enumerate(rated)]


def unseen_logits(rated: Sequence[Rated], fusion: Fusion, seed: int = 13) -> list[Floats]:
    """The logits of every case's units, (U,) each, by a fusion; if it was learned on them, as ``held_out_logits``."""
    own, learned = [fusion(r.signals) for r in rated], fit_fusion(rated, seed=seed)
    apart = np.concatenate([logits - learned(r.signals) for r, logits in zip(rated, own, strict=True)])
    return held_out_logits(rated, seed=seed) if np.abs(apart).mean() < SAME_LOGITS else own


def choose_exponent(rated: Sequence[Rated], logits: Sequence[Floats]) -> float:
    """The smallest length exponent that keeps as much evidence as the best, over rates and sets, within an error of it.

    The one-standard-error rule of Breiman et al. 1984: the curve is flat, and its top noise. The error is that of the
    difference between the two, question by question.
    """
    share = set_shares(rated).numpy()
    pairs = list(zip(rated, logits, strict=True))
    kept = {a: np.array([_evidence_kept(r, found, a) for r, found in pairs]) for a in EXPONENTS}
    best = max(kept.values(), key=lambda found: float(share @ found))

    def is_as_good(found: NDArray[np.float64]) -> bool:
        lost = best - found
        mean = float(share @ lost)
        return mean <= float(np.sqrt(np.square(share * (lost - mean)).sum()))

    return next(a for a in EXPONENTS if is_as_good(kept[a]))


def calibrate(rated: Sequence[Rated], logits: Sequence[Floats]) -> Calibration:
    """What makes a unit's score the share of questions whose best evidence scores lower; every set weighs the same."""
    best = _best_evidence(rated, logits)
    order = np.argsort(best)
    weight = set_shares(rated).numpy()[order]
    return _logistic(best[order], np.cumsum(weight) - weight / 2, 0.9)


def calibrate_worst(rated: Sequence[Rated], logits: Sequence[Floats]) -> Calibration:
    """What makes a unit's score the share of questions whose best evidence scores lower, in the set that has most.

    The mean over sets would let a threshold lose in half of them more than it says. A new text is of no set: what the
    worst of those at hand loses is the safer guess (the worst-group risk of Sagawa et al. 2020, read as a quantile).
    Shares up to 0.3 count, which thresholds are for.
    """
    best, names = _best_evidence(rated, logits), np.array([r.set for r in rated])
    at = np.unique(best)
    below = np.max([_share_below(best[names == name], at) for name in set(names.tolist())], axis=0)
    return _logistic(at, below, 0.3)


def _best_evidence(rated: Sequence[Rated], logits: Sequence[Floats]) -> NDArray[np.float64]:
    return np.array([found[r.evidence > 0].max() for r, found in zip(rated, logits, strict=True)], dtype=np.float64)


def _share_below(values: NDArray[np.float64], at: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of (N,) values the share below each of (K,) others, of those equal half."""
    inside = np.sort(values)
    return (np.searchsorted(inside, at, "left") + np.searchsorted(inside, at, "right")) / (2 * len(inside))


def _logistic(best: NDArray[np.float64], below: NDArray[np.float64], most: float) -> Calibration:
    """The logistic distribution laid through the quantiles from 0.01 to ``most``; its tail counts most."""
    inside = (below > 0.01) & (below < most)
    at, share = best[inside], below[inside]
    if min(len(np.unique(at)), len(np.unique(share))) < 2:  # too few questions to tell a slope by
        return AS_IT_IS
    slope, offset = np.polyfit(at, np.log(share / (1 - share)), 1)
    return Calibration(float(slope), float(offset))


def _evidence_kept(rated: Rated, logits: Floats, exponent: float) -> float:
    """Share of the evidence kept when units are taken best first, those that do not fit left out; mean over rates."""
    order = np.argsort(-(logits - exponent * np.log(np.maximum(rated.sizes, 1))), kind="stable").tolist()
    kept = 0.0
    for rate in RATES:
        left = float(rated.sizes.sum()) / rate
        for unit in order:
            if rated.sizes[unit] <= left:
                left -= float(rated.sizes[unit])
                kept += float(rated.evidence[unit] * rated.sizes[unit])
    return kept / max(float((rated.evidence * rated.sizes).sum()), 1e-9) / len(RATES)
