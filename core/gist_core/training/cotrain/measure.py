"""Gists of many makers beside one another, read by one generator: gain, KL, rate, values kept.

The generator has read random gists of every kind besides the policy's, so none of them is strange to it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gist_core.facts import FactKind, value_texts
from gist_core.intervals import bootstrap_interval
from gist_core.training.cotrain.controls import Gister
from gist_core.training.cotrain.episodes import Episode
from gist_core.training.cotrain.judge import start_judge
from gist_core.training.cotrain.scoring import Frame, future_log_probs
from gist_core.training.rewards import gain, kl, log_likelihood
from gist_core.training.state import append_row

_TOGETHER = 8  # texts that are read at once
LOCAL, FULL = "local window alone", "full context"


@dataclass(frozen=True, slots=True)
class Readers:
    """The frozen ``teacher``, the ``generator`` and their frame."""

    teacher: Any
    generator: Any
    frame: Frame


def measure_gists(
    readers: Readers, gisters: Mapping[str, Gister], episodes: Sequence[Episode], rates: Sequence[float], out: Path
) -> list[dict[str, Any]]:
    """A row for every episode, maker and rate; written to ``out`` (JSON lines, begun anew).

    A row: ``episode``, ``system``, ``rate`` (asked), ``share`` (tokens of the gist over tokens of C), ``kl`` from the
    teacher and ``gain`` in log-likelihood over the local window, both in nats per token of F, ``values`` and
    ``values_kept``: distinct numbers, dates, identifiers and names of C, and how many of them the gist holds.
    """
    out.unlink(missing_ok=True)
    rows = []
    for number, episode in enumerate(episodes):
        for row in _rows(readers, gisters, episode, rates):
            rows.append({"episode": number, **row})
            append_row(out, rows[-1])
    return rows


@torch.no_grad()
def _rows(
    readers: Readers, gisters: Mapping[str, Gister], episode: Episode, rates: Sequence[float]
) -> Iterator[dict[str, Any]]:
    frame, size = readers.frame, len(readers.frame.ids(episode.context))
    asked = [(name, rate, make(episode.context, int(rate * size))) for name, make in gisters.items() for rate in rates]
    texts = [(LOCAL, 0.0, ""), (FULL, 1.0, episode.context), *asked]
    sizes = [len(ids) for ids in frame.many([text for _, _, text in texts])]
    divergence, likelihood = _read(readers, episode, [text for _, _, text in texts], sizes)
    gained = gain(likelihood, likelihood[0])
    found = values(episode.context)
    for i, (name, rate, text) in enumerate(texts):
        yield {
            "system": name,
            "rate": rate,
            "share": sizes[i] / max(1, size),
            "kl": float(divergence[i]),
            "gain": float(gained[i]),
            "values": len(found),
            "values_kept": sum(stands(v, text) for v in found),
        }


def _read(readers: Readers, episode: Episode, texts: Sequence[str], sizes: Sequence[int]) -> tuple[Tensor, Tensor]:
    """(N,) KLs from the teacher and log-likelihoods of F behind each text; those of like size are read together."""
    judge = start_judge(readers.teacher, readers.generator, readers.frame, [episode])
    divergence, likelihood = torch.zeros(2, len(texts))
    order = np.argsort(sizes, kind="stable")
    for some in np.array_split(order, -(-len(texts) // _TOGETHER)):
        batch = readers.frame.batch([texts[i] for i in some], [episode] * len(some)).to(judge.teacher.device)
        log_probs = future_log_probs(readers.generator, batch)
        divergence[some] = kl(judge.teacher.expand(len(some), -1, -1), log_probs, batch.real).cpu()
        likelihood[some] = log_likelihood(log_probs, batch.target, batch.real).cpu()
    return divergence, likelihood


def values(text: str) -> set[str]:
    """The distinct numbers, dates, identifiers and names of a text."""
    kinds = {FactKind.NUMBER, FactKind.DATE, FactKind.IDENTIFIER, FactKind.NAME}
    return {value for kind, value in value_texts(text) if kind in kinds}


def stands(value: str, gist: str) -> bool:
    """Whether all words of a value stand one after another in a gist, whatever signs stand around them."""
    return f" {_plain(value)} " in f" {_plain(gist)} "


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())


def summary(rows: Iterable[Mapping[str, Any]], ours: Sequence[str]) -> str:
    """A Markdown table: for each rate and maker KL, its ratio, normalised gain, values kept, with 95 % intervals.

    Args:
        rows: Of ``measure_gists``.
        ours: The makers that are held against each of the others: mean differences of KL, paired by episode; above
            zero is in ours' favour.
    """
    by: dict[tuple[float, str], dict[int, Mapping[str, Any]]] = defaultdict(dict)
    for row in rows:
        by[row["rate"], row["system"]][row["episode"]] = row
    local, full = by[0.0, LOCAL], by[1.0, FULL]
    lines = [_gate(local, full)]
    for rate in sorted({rate for rate, _ in by if 0 < rate < 1}):
        lines += ["", _header(rate, ours), "|" + "---|" * (7 + len(ours))]
        names = sorted((n for r, n in by if r == rate), key=lambda n: _mean(by[rate, n], "kl"))
        lines += [_line(name, rate, by, local, full, ours) for name in names]
    return "\n".join(lines) + "\n"


def _gate(local: Mapping[int, Mapping[str, Any]], full: Mapping[int, Mapping[str, Any]]) -> str:
    alone, whole = _interval([r["kl"] for r in local.values()]), _mean(full, "kl")
    gained = _interval([r["gain"] for r in full.values()])
    return (
        f"{len(local)} episodes. KL from the teacher, nats per token of F: {alone} with the local window alone, "
        f"{whole:.4f} with the full context. Gain of the full context over the local window: {gained}."
    )


def _header(rate: float, ours: Sequence[str]) -> str:
    columns = [f"asked rate {rate:g}", "tokens", "KL", "KL ratio", "normalised gain", "gain, nats", "values kept"]
    return f"| {' | '.join([*columns, *(f'KL less {o}' for o in ours)])} |"


def _line(
    name: str,
    rate: float,
    by: Mapping[tuple[float, str], Mapping[int, Mapping[str, Any]]],
    local: Mapping[int, Mapping[str, Any]],
    full: Mapping[int, Mapping[str, Any]],
    ours: Sequence[str],
) -> str:
    own = by[rate, name]
    alone, found, whole = _mean(local, "kl"), _mean(own, "kl"), _mean(full, "kl")
    kept = sum(r["values_kept"] for r in own.values()) / max(1, sum(r["values"] for r in own.values()))
    cells = [
        f"**{name}**" if name in ours else name,
        f"{100 * _mean(own, 'share'):.1f} %",
        _interval([r["kl"] for r in own.values()]),
        f"{alone / found:.3f}",
        f"{(alone - found) / (alone - whole):.3f}",
        _interval([r["gain"] for r in own.values()]),
        f"{100 * kept:.1f} %",
    ]
    for our in ours:
        pairs = [own[e]["kl"] - by[rate, our][e]["kl"] for e in own if e in by[rate, our]]
        cells.append("" if name == our else _interval(pairs))
    return "| " + " | ".join(cells) + " |"


def _mean(rows: Mapping[int, Mapping[str, Any]], key: str) -> float:
    return float(np.mean([row[key] for row in rows.values()]))


def _interval(found: Sequence[float]) -> str:
    low, high = bootstrap_interval(found)
    return f"{np.mean(found):.4f} ({low:.4f} to {high:.4f})"
