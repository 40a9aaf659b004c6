"""What holds for the package as a whole: names, versions, what a wheel carries, what the core knows."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distribution, entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"langchain_core", "llama_index", "langchain_classic", "sentence_transformers"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)


def test_one_distribution_with_the_command_gist():
    (script,) = entry_points(group="console_scripts", name="gist")
    assert script.value == "gist_core.cli:main"
    assert distribution("gist-compressor").metadata["License-Expression"] == "Apache-2.0"


@pytest.mark.parametrize("name", ["Budget", "Passage", "load_compressor"])
def test_public_names(name):
    import gist_core

    assert hasattr(gist_core, name)
    assert name in gist_core.__all__


@pytest.mark.parametrize("module", ["gist_core", "gist_core.cli"])
def test_the_core_needs_no_framework(module):
    done = python(f"{BLOCK}\nimport {module}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["core/gist_core", "langchain_gist", "llamaindex_gist"])
def test_types_are_declared(package):
    assert (ROOT / package / "py.typed").exists()


def test_tracked_files_stay_small():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    assert sum(path.stat().st_size for path in paths if path.exists()) < 40 * 2**20


def test_the_top_level_is_what_the_readme_says():
    expected = {
        "core",
        "langchain_gist",
        "llamaindex_gist",
        "tests",
        "cookbook",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    }
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    top = {name.split("/")[0] for name in listed.stdout.decode().split("\0") if name}
    assert {name for name in top if not name.startswith(".")} == expected
