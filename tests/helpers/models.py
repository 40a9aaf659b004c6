"""The compressors that framework tests run with: the lexical one always, the shipped one where it is there."""

from __future__ import annotations

import importlib.util
from importlib import resources

import pytest


def has_default_model() -> bool:
    if importlib.util.find_spec("gist_core.loading") is None:
        return False
    return any(entry.name.endswith(".safetensors") for entry in _files(resources.files("gist_core") / "weights"))


def _files(folder):
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry)
        else:
            yield entry


needs_default = pytest.mark.skipif(not has_default_model(), reason="the default weights are not there")
MODELS = ["lexical", pytest.param("default", marks=needs_default)]
