"""The real command in its own process, with the embedded model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SPEECH = Path(__file__).parents[2] / "cookbook/data/speeches/1961-kennedy.txt"
GIST = [sys.executable, "-c", "from gist_core.cli import main; main()"]
ASK = ["compress", str(SPEECH), "--query", "When should an American land on the moon?", "--device", "cpu"]


def run(args: list[str], **kwargs: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*GIST, *args], capture_output=True, check=False, timeout=120, **kwargs)


@pytest.mark.slow
def test_the_default_model_keeps_the_answer():
    done = run([*ASK, "--tokens", "300", "--json"])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["usage"]["tokens_out"] <= 300
    assert "before this decade is out" in found["text"]
    assert b"\x1b" not in done.stderr  # no colours, no progress bar where there is no terminal


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
def test_a_closed_pipe_is_quiet():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*GIST, *ASK, "-n", "300"], stdout=write, stderr=subprocess.PIPE, check=False, timeout=120)
    os.close(write)
    assert done.returncode == 141
    assert done.stderr.count(b"\n") == 1  # the account, and no complaint
