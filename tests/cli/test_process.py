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
CHAT = Path(__file__).parents[2] / "cookbook/data/chats/support.jsonl"
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


@pytest.mark.slow
def test_a_conversation_is_compacted_and_a_fact_recalled(tmp_path):
    page = tmp_path / "page.html"
    small = ["compact", "--high", "2000", "--low", "1000", "--device", "cpu"]
    question = ["--recall", "What does the sticker on the rack say?", "--json"]
    done = run([*small, *question, "--html", str(page), "-"], input=CHAT.read_bytes())
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["usage"]["tokens_out"] <= 1000
    assert "RK27-25116" in found["recall"]["text"] + json.dumps(found["view"])
    assert done.stderr.count(b"\n") == 1
    assert b"\x1b" not in done.stderr
    assert page.read_text(encoding="utf-8").count("</article>") == 66


def test_a_bad_conversation_is_one_line(tmp_path):
    path = tmp_path / "chat.jsonl"
    path.write_text('{"role": "user", "content": "a"}\n{"role": "robot"}\n', encoding="utf-8")
    done = run(["compact", str(path)])
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().startswith(f"gist: error: {path}, line 2: role is 'robot'. Use one of ")
    assert done.stderr.count(b"\n") == 1
