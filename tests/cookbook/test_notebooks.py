"""Every notebook runs from its first cell to its last, in a kernel of its own, with no network."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

COOKBOOK = Path(__file__).parents[2] / "cookbook"
NOTEBOOKS = sorted(COOKBOOK.glob("*.ipynb"))


def test_there_is_one_for_each_framework():
    assert {path.stem for path in NOTEBOOKS} >= {
        "langchain_rag",
        "llamaindex_rag",
        "langchain_memory",
        "llamaindex_memory",
        "cotraining",
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_valid_and_carries_no_output(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not any(cell.get("outputs") for cell in notebook.cells)


@pytest.mark.slow
@pytest.mark.enable_socket  # the kernel is spoken to over a socket of this machine
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path, monkeypatch):
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(entry for entry in sys.path if entry))
    notebook = nbformat.read(path, as_version=4)
    _shorten(notebook)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(COOKBOOK)}}).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert any(_is_picture(output.get("data", {})) for output in shown)
    assert not [output for output in shown if output.output_type == "stream" and "GistWarning" in output.text]


def _shorten(notebook):
    """A notebook that trains has a cell of parameters: a few steps show that every cell runs."""
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = "from gist_core.training.cotrain.world_recipe import QUICK as settings"


def _is_picture(data):
    """A result as HTML, or a plot."""
    return "gist-result" in data.get("text/html", "") or "image/png" in data
