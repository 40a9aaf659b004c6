"""``load_compressor``: a name -> a compressor, and back. The only place that knows every kind."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from gist_core.checkpoint import CONFIG, EXTRACTOR, TOKENIZER, WEIGHTS, Manifest, read_manifest
from gist_core.device import check_device
from gist_core.errors import CheckpointError
from gist_core.fallback import FallbackCompressor, OnError
from gist_core.lazy import Shared

if TYPE_CHECKING:
    from gist_core.compressor import TextCompressor

DEFAULT_NAME = "default"
DEFAULT = Path(__file__).parent / "weights" / "selective"
KINDS = {
    "selective": "gist_core.selective.compressor:SelectiveCompressor",
    "generative": "gist_core.generative.compressor:GenerativeCompressor",
}
_WITH_BACKUP = frozenset({"generative"})  # what they write can fail: the default compressor steps in
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_defaults: Shared[TextCompressor] = Shared()
_names: WeakKeyDictionary[TextCompressor, str] = WeakKeyDictionary()


def load_compressor(model: str = "default", *, device: str = "auto", on_error: OnError = "raise") -> TextCompressor:
    """A compressor by name. Configuration is checked now; weights load at the first call.

    All who ask for the default on one device share one, and its weights: nothing that a call returns depends on other
    callers. It goes when nobody has held it for half a minute.

    Args:
        model: ``"default"`` (shipped with the package: no network, no download), a local folder, or a hub id
            ``owner/name``, with ``@revision`` if need be; only a hub id uses the network, and never runs remote code.
        device: ``"auto"`` (cuda, mps, else cpu), ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:<number>"``.
        on_error: ``"raise"``, or ``"truncate"`` / ``"original"`` for a compressor that answers without its model
            when that fails.

    Raises:
        CheckpointError: No such checkpoint, or it is damaged or of an unknown kind.
        InvalidInputError: ``on_error`` is unknown. DeviceError: ``device`` is no device's name.
    """
    check_device(device)
    compressor = _defaults.get(device, partial(_open, model, device)) if model == DEFAULT_NAME else _open(model, device)
    return compressor if on_error == "raise" else FallbackCompressor(compressor, on_error)


def name_of(compressor: TextCompressor) -> str | None:
    """The name that ``load_compressor`` was given for a compressor; None if it does not come from there."""
    while isinstance(compressor, FallbackCompressor):
        compressor = compressor.inner
    try:
        return _names.get(compressor)
    except TypeError:  # neither hashed nor referred to weakly: none of ours
        return None


def fetch(hub_id: str, *, weights: bool) -> Path:
    """Download a checkpoint from the hub into its cache, the manifest alone or with weights; returns the folder.

    Raises:
        CheckpointError: The hub cannot be reached or has no such checkpoint.
    """
    from huggingface_hub import snapshot_download

    name, _, revision = hub_id.partition("@")
    files = [CONFIG, TOKENIZER, WEIGHTS]
    patterns = [*files, *(f"{EXTRACTOR}/{file}" for file in files)] if weights else [CONFIG]
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=patterns))
    except Exception as error:  # the hub client raises its own, requests' and httpx' errors
        raise CheckpointError(
            f"{hub_id!r} cannot be fetched: {type(error).__name__}: {error}",
            hint="Check the name and the network, or name a local folder.",
        ) from error


def _open(model: str, device: str) -> TextCompressor:
    folder = _local(model)
    manifest = read_manifest(folder) if folder else read_manifest(fetch(model, weights=False))
    kind = _kind(manifest, model)
    more = _others(model, device) if manifest.kind in _WITH_BACKUP else {}
    compressor: TextCompressor = kind(manifest, partial(_weights, model, device), device, **more)
    _names[compressor] = model
    return compressor


def _weights(model: str, device: str) -> Path:
    """The folder that weights are read from now."""
    if model == DEFAULT_NAME:
        _defaults.linger(device)
    return _folder(model)


def _others(model: str, device: str) -> dict[str, Callable[[], TextCompressor]]:
    """Who else a kind needs that writes: what steps in for it, and what chooses what it reads."""
    return {"backup": partial(load_compressor, device=device), "extractor": partial(_extractor, model, device)}


def _extractor(model: str, device: str) -> TextCompressor:
    return load_compressor(str(_folder(model) / EXTRACTOR), device=device)


def _local(model: str) -> Path | None:
    """The folder of a name; None for a hub id."""
    if model == DEFAULT_NAME:
        return DEFAULT
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if not _HUB_ID.fullmatch(model):
        raise CheckpointError(f"model is {model!r}, which is no folder.", hint="Use 'default', a folder or a hub id.")
    return None


def _folder(model: str) -> Path:
    return _local(model) or fetch(model, weights=True)


def _kind(manifest: Manifest, model: str) -> type:
    if manifest.kind not in KINDS:
        raise CheckpointError(
            f"{model!r} is of kind {manifest.kind!r}.", hint=f"This release knows: {', '.join(sorted(KINDS))}."
        )
    module, name = KINDS[manifest.kind].split(":")
    found: type = getattr(import_module(module), name)
    return found
