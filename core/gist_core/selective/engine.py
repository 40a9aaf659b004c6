"""A selective checkpoint in memory: tokenizer, network and fusions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from gist_core.batching import BatchWorker
from gist_core.checkpoint import CONFIG, TOKENIZER, Manifest, read_manifest, read_tensors, to_int8, write_checkpoint
from gist_core.device import resolve_device, resolve_dtype
from gist_core.errors import CheckpointError, CompressionError
from gist_core.lazy import Lazy
from gist_core.selective.config import SelectiveConfig
from gist_core.selective.foreign import ROWS, Foreign
from gist_core.selective.fusion import MODES, SIGNALS, Calibration, Fusion, Mode, Rating
from gist_core.selective.lent import with_lent, without_lent
from gist_core.selective.model import SelectiveModel
from gist_core.selective.network import PaddedNetwork, start_network
from gist_core.selective.scorer import Scorer, WindowItem, WindowScores

KIND = "selective"
_FOREIGN, _PIECES = "foreign.", "foreign_pieces"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a selective checkpoint holds; ``ratings`` has every mode, ``foreign`` what other languages are read with."""

    model: SelectiveModel
    tokenizer: Tokenizer
    ratings: dict[Mode, Rating]
    foreign: Foreign | None = None

    def with_rating(self, mode: Mode, rating: Rating) -> Parts:
        """The same parts with another rating of one mode."""
        return replace(self, ratings={**self.ratings, mode: rating})


@dataclass(frozen=True, slots=True)
class Engine:
    """Ready to score: ``worker`` runs the windows of all callers on one device, ``embedder`` embeds token rows.

    ``foreign_tokenizer`` makes the tokenizer of other languages when it is first called; None where there is none.
    """

    parts: Parts
    foreign_tokenizer: Callable[[], Tokenizer] | None
    worker: BatchWorker[WindowItem, WindowScores]
    embedder: BatchWorker[NDArray[np.int64], NDArray[np.float32]]


def load_parts(folder: Path) -> Parts:
    """Read a checkpoint from a folder.

    Raises:
        CheckpointError: It is missing, damaged, of another kind, or its tensors do not fit its config.
    """
    manifest = read_manifest(folder)
    manifest.require(KIND)
    tensors = read_tensors(folder)
    try:
        settings = dict(manifest.config)
        ratings = _ratings(
            tensors, settings.pop("length_exponent"), settings.pop("calibration", {}), settings.pop("caution", {})
        )
        foreign = _foreign(tensors, settings.pop(_PIECES, ""))
        config = SelectiveConfig(**settings)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder / CONFIG} has a config that this version does not read: {error!r}.",
            hint="Upgrade gist-compressor or copy the checkpoint again.",
        ) from error
    with torch.device("meta"):
        model = SelectiveModel(config)
    network = {n[6:]: torch.from_numpy(t) for n, t in tensors.items() if n.startswith("model.")}
    for name in ("keep_head.weight", "keep_head.bias"):
        if len(network.get(name, ())) == 1:  # checkpoints before version 2 have one head for both modes
            network[name] = torch.cat([network[name]] * 2)
    try:
        model.load_state_dict(with_lent(network, config), assign=True)
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # tokenizers raises bare Exception
        raise CheckpointError(f"{folder} does not fit together: {error}", hint="Copy the checkpoint again.") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return Parts(model, tokenizer, ratings, foreign)


def save_parts(folder: Path, parts: Parts, name: str, version: str, *, int8: bool) -> None:
    """Write a checkpoint; ``int8`` stores matrices with one byte a number."""
    network: dict[str, NDArray[Any]] = {
        f"model.{n}": t.detach().float().cpu().numpy()
        for n, t in without_lent(parts.model.state_dict(), parts.model.config).items()
    }
    network |= foreign_tensors(parts)
    if int8:
        network = to_int8(network)
    manifest = Manifest(KIND, name, version, settings_of(parts))
    write_checkpoint(folder, manifest, network | fusion_tensors(parts), parts.tokenizer.to_str())


def settings_of(parts: Parts) -> dict[str, Any]:
    """What the manifest of a checkpoint says of its parts."""
    found = asdict(parts.model.config)
    if parts.foreign:
        found[_PIECES] = " ".join(parts.foreign.pieces)
    return found | {
        "length_exponent": {mode: rating.length_exponent for mode, rating in parts.ratings.items()},
        "calibration": {mode: asdict(rating.calibration) for mode, rating in parts.ratings.items()},
        "caution": {mode: asdict(rating.caution) for mode, rating in parts.ratings.items()},
    }


def fusion_tensors(parts: Parts) -> dict[str, NDArray[Any]]:
    """The fusions by the names they are stored under."""
    found = parts.ratings.items()
    return {f"fusion.{mode}.{f.name}": getattr(rating.fusion, f.name) for mode, rating in found for f in fields(Fusion)}


def foreign_tensors(parts: Parts) -> dict[str, NDArray[Any]]:
    """What other languages are read with by the names it is stored under; empty where there is nothing."""
    tensors = parts.foreign.tensors if parts.foreign else {}
    return {_FOREIGN + name: tensor.numpy() for name, tensor in tensors.items()}


def start_engine(parts: Parts, device: str) -> Engine:
    """Put the network on its device.

    Raises:
        DeviceError: The device is unknown or absent.
    """
    place = resolve_device(device)
    foreign = parts.foreign

    def started(*, of_foreign: bool) -> Scorer:
        model = foreign.model(parts.model) if of_foreign and foreign else parts.model
        return Scorer(start_network(model, place, resolve_dtype(place)))

    # Started with the first call, in the worker's thread: a checkpoint that is only looked at costs no packing.
    scorers = {of_foreign: Lazy(partial(started, of_foreign=of_foreign)) for of_foreign in (False, True)}

    def run(items: list[WindowItem]) -> Sequence[WindowScores]:
        scores: dict[int, WindowScores] = {}
        with _model_errors(place):
            for of_foreign in {item.foreign for item in items}:
                rows = [row for row, item in enumerate(items) if item.foreign == of_foreign]
                found = scorers[of_foreign]()([items[row] for row in rows])
                scores |= zip(rows, found, strict=True)
        return [scores[row] for row in range(len(items))]

    def embed(rows: list[NDArray[np.int64]]) -> Sequence[NDArray[np.float32]]:
        with _model_errors(place):
            return scorers[False]().embed(rows)

    most = float(PaddedNetwork.batch_tokens)
    return Engine(
        parts,
        cache(partial(foreign.tokenizer, parts.tokenizer)) if foreign else None,
        BatchWorker(run, max_items=4_096, cost=lambda item: float(len(item.ids)), max_cost=most),
        BatchWorker(embed, max_items=4_096, cost=lambda row: float(len(row)), max_cost=most),
    )


@contextmanager
def _model_errors(place: torch.device) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        raise CompressionError(f"The model failed on {place}: {error}", hint="Try device='cpu'.") from error


def _foreign(tensors: dict[str, NDArray[Any]], pieces: str) -> Foreign | None:
    found = {n.removeprefix(_FOREIGN): torch.from_numpy(t) for n, t in tensors.items() if n.startswith(_FOREIGN)}
    if not found:
        return None
    if ROWS not in found or found[ROWS].shape[1] != len(pieces.split()):
        raise CheckpointError(
            f"The checkpoint names {len(pieces.split())} pieces of other languages and holds other embeddings.",
            hint="Copy the checkpoint again.",
        )
    return Foreign(pieces.split(), found)


def _ratings(
    tensors: dict[str, NDArray[Any]],
    exponents: dict[str, float],
    calibrations: dict[str, Any],
    cautions: dict[str, Any],
) -> dict[Mode, Rating]:
    """Checkpoints before version 2 rate all questions alike; they calibrate those and no more, or nothing.

    Those before 6.1 know no caution.
    """
    if "slope" in calibrations:
        calibrations = {"query": calibrations}

    def rating(stored: str) -> Rating:
        calibration, caution = (Calibration(**found.get(stored, {})) for found in (calibrations, cautions))
        return Rating(_fusion(tensors, stored), exponents[stored], calibration, caution)

    return {mode: rating(mode if mode in exponents else "query") for mode in MODES}


def _fusion(tensors: dict[str, NDArray[Any]], mode: str) -> Fusion:
    try:
        found = Fusion(**{f.name: np.asarray(tensors[f"fusion.{mode}.{f.name}"]) for f in fields(Fusion)})
    except KeyError as error:
        raise CheckpointError(f"The checkpoint lacks {error}.", hint="Copy the checkpoint again.") from error
    if len(found.linear) > len(SIGNALS):
        raise CheckpointError(
            f"The checkpoint goes by {len(found.linear)} signals, this version knows {len(SIGNALS)}.",
            hint="Upgrade gist-compressor.",
        )
    return found.widened()
