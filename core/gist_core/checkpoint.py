"""The one checkpoint format of all kinds.

A folder with ``gist.json`` (kind, versions, config), ``model.safetensors`` and ``tokenizer.json``.

Matrices may be stored as int8 with one scale a row (``<name>.int8_scale``); they are restored in float32 when read.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gist_core.errors import CheckpointError

FORMAT_VERSION = 1
CONFIG, WEIGHTS, TOKENIZER = "gist.json", "model.safetensors", "tokenizer.json"
EXTRACTOR = "extractor"  # a checkpoint within a checkpoint: what chooses the words that a generative one reads
_PARTS = (CONFIG, WEIGHTS, TOKENIZER, EXTRACTOR)
SCALE = ".int8_scale"
Tensors = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What ``gist.json`` says: the ``kind`` of compressor, the ``version`` of the model, its ``config``."""

    kind: str
    name: str
    version: str
    config: Mapping[str, Any]

    @property
    def model_id(self) -> str:
        """Name and version, as results carry it."""
        return f"{self.name}@{self.version}"

    def require(self, kind: str) -> None:
        """Raise unless it is of this kind.

        Raises:
            CheckpointError: It is of another.
        """
        if self.kind != kind:
            raise CheckpointError(
                f"The checkpoint {self.name!r} is of kind {self.kind!r}.", hint=f"Name one of kind {kind!r} here."
            )


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a checkpoint; cheap, reads no weights.

    Raises:
        CheckpointError: It is missing, damaged, or of a format this version does not read.
    """
    path = folder / CONFIG
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{folder} holds no {CONFIG}.", hint="Name a folder written by `gist train`.") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON.", hint="Copy the checkpoint again.") from error
    if not isinstance(found, dict) or found.get("format_version") != FORMAT_VERSION:
        version = found.get("format_version") if isinstance(found, dict) else None
        raise CheckpointError(
            f"{path} has format version {version!r}, this release reads {FORMAT_VERSION}.",
            hint="Upgrade gist-compressor or save the checkpoint again.",
        )
    try:
        return Manifest(found["kind"], found["name"], found["version"], found["config"])
    except KeyError as error:
        raise CheckpointError(f"{path} lacks {error}.", hint="Copy the checkpoint again.") from error


def read_tensors(folder: Path) -> dict[str, NDArray[Any]]:
    """All tensors by name, int8 matrices restored to float32.

    Raises:
        CheckpointError: The file is missing or damaged.
    """
    stored = stored_tensors(folder)
    return {
        name: _restore(tensor, stored.get(name + SCALE)) for name, tensor in stored.items() if not name.endswith(SCALE)
    }


def write_checkpoint(folder: Path, manifest: Manifest, tensors: Tensors, tokenizer_json: str) -> None:
    """Write a checkpoint: into a temporary folder beside, then renamed, a new one in whole or not at all.

    In a folder that exists the manifest goes first and comes back last, so that nobody reads old parts with new ones;
    a write that is cut short there leaves a folder without a manifest, which can be written to again.

    Raises:
        CheckpointError: The folder exists and is no checkpoint.
    """
    from safetensors.numpy import save_file

    if folder.exists() and not (folder / CONFIG).exists() and any(part.name not in _PARTS for part in folder.iterdir()):
        raise CheckpointError(f"{folder} holds other files.", hint="Name a new folder or an earlier checkpoint.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as temporary:
        fresh = Path(temporary) / folder.name
        fresh.mkdir()
        write_manifest(fresh, manifest)
        (fresh / TOKENIZER).write_text(tokenizer_json, encoding="utf-8")
        save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, fresh / WEIGHTS)
        (fresh / WEIGHTS).chmod((fresh / CONFIG).stat().st_mode)  # safetensors writes for the owner alone
        if not folder.exists():
            fresh.rename(folder)
            return
        (folder / CONFIG).unlink(missing_ok=True)
        for name in (WEIGHTS, TOKENIZER, CONFIG):
            shutil.move(fresh / name, folder / name)


def update_checkpoint(folder: Path, manifest: Manifest, tensors: Tensors) -> None:
    """Change a checkpoint in place: its manifest, and the tensors of these names; all others stay bit for bit.

    Raises:
        CheckpointError: The checkpoint is missing or damaged.
    """
    stored = stored_tensors(folder)
    try:
        tokenizer_json = (folder / TOKENIZER).read_text(encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"{folder} holds no {TOKENIZER}.", hint="Copy the checkpoint again.") from error
    write_checkpoint(folder, manifest, stored | dict(tensors), tokenizer_json)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write what a checkpoint says of itself, in whole or not at all; its tensors stay as they are."""
    content = {"format_version": FORMAT_VERSION, "kind": manifest.kind, "name": manifest.name}
    content |= {"version": manifest.version, "config": dict(manifest.config)}
    temporary = folder / f".{CONFIG}.tmp"
    temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    temporary.replace(folder / CONFIG)


def to_int8(tensors: Tensors, smallest: int = 2_048) -> dict[str, NDArray[Any]]:
    """Matrices of at least ``smallest`` numbers as int8 with one float32 scale a row, symmetric; the rest as it is."""
    out: dict[str, NDArray[Any]] = {}
    for name, tensor in tensors.items():
        if tensor.ndim != 2 or tensor.size < smallest:
            out[name] = tensor
            continue
        scale = np.maximum(np.abs(tensor).max(axis=1), 1e-12).astype(np.float32) / 127
        out[name] = np.rint(tensor / scale[:, None]).astype(np.int8)
        out[name + SCALE] = scale
    return out


def stored_tensors(folder: Path) -> dict[str, NDArray[Any]]:
    """All tensors by name as they are stored, the scales of int8 matrices among them.

    Raises:
        CheckpointError: The file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder / WEIGHTS} cannot be read: {error}", hint="Copy the checkpoint again."
        ) from error


def _restore(tensor: NDArray[Any], scale: NDArray[Any] | None) -> NDArray[Any]:
    if scale is None:
        return tensor
    return np.asarray(tensor.astype(np.float32) * scale[:, None].astype(np.float32), dtype=np.float32)
