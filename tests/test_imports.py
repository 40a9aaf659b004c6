"""What an import may cost: never torch, never the other framework."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = ["torch", "transformers", "accelerate"]


def loaded_after(code: str, names: list[str]) -> list[str]:
    script = f"import sys\n{code}\nprint(*(name for name in {names!r} if name in sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["core", "."])}
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    return run.stdout.split()


@pytest.mark.parametrize(
    ("package", "foreign"),
    [
        ("gist_core", ["langchain_core", "llama_index", "pydantic"]),
        ("langchain_gist", ["llama_index", "langchain_classic"]),
        ("llamaindex_gist", ["langchain_core"]),
        ("gist_core.cli", ["langchain_core", "llama_index"]),
    ],
)
def test_importing_is_light(package, foreign):
    assert loaded_after(f"import {package}", HEAVY + foreign) == []


def test_public_names_resolve():
    code = "import {0}\nfor name in {0}.__all__: getattr({0}, name)"
    for package in ("langchain_gist", "llamaindex_gist"):
        assert loaded_after(code.format(package), HEAVY) == []


def test_every_core_module_for_adapters_is_light():
    modules = "compressor, batching, fallback, settings, passage, errors, budget"
    assert loaded_after(f"from gist_core import {modules}", HEAVY) == []
