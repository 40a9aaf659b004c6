"""A run on two processes, as ``accelerate launch`` starts them, beside the same run on one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate import Accelerator
from safetensors.torch import load_file

from gist_core import Budget, Passage, load_compressor
from gist_core.errors import InvalidInputError
from gist_core.training.processes import mine
from tests.helpers.tiny import save_tiny
from tests.helpers.tiny_causal import save_causal, speech_tokenizer, write_speeches

pytestmark = pytest.mark.slow
GIST = str(Path(sys.executable).with_name("gist"))
LAUNCH = [str(Path(sys.executable).with_name("accelerate")), "launch", "--cpu", "--num_processes", "2"]
SIZES = ["--context", "64", "--local", "8", "--future", "16", "--batch", "4", "--micro", "2"]
SETTINGS = [*SIZES, "--steps", "2", "--warm-steps", "1", "--imitation-steps", "2"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of a run on one process and of one on two."""
    root = tmp_path_factory.mktemp("processes")
    lm, start = save_causal(root / "lm", "llama", speech_tokenizer()), save_tiny(root / "start")
    where = ["--data", write_speeches(root / "texts"), "--model", lm, "--start", start]
    for name, how in (("one", []), ("two", LAUNCH)):
        command = [*how, GIST, "train", "cotrain", *map(str, where), *SETTINGS, "--out", str(root / name)]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "ACCELERATE_USE_CPU": "true"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-2_000:]
    return root / "one", root / "two"


@pytest.mark.parametrize("log", ["imitation.jsonl", "log.jsonl"])
def test_two_processes_log_what_one_does(runs, log):
    one, two = ([json.loads(line) for line in (run / log).read_text().splitlines()] for run in runs)
    assert len(one) == len(two) >= 2
    for a, b in zip(one, two, strict=True):
        assert a.pop("gists", None) == b.pop("gists", None)
        assert {k: v for k, v in a.items() if k != "seconds"} == pytest.approx(
            {k: v for k, v in b.items() if k != "seconds"}, rel=1e-3, abs=1e-5
        )


def test_two_processes_end_with_the_weights_of_one(runs):
    one, two = (load_file(run / "generator" / "model.safetensors") for run in runs)
    assert max(float((one[name] - two[name]).abs().max()) for name in one) < 1e-3
    text = "The moon is far away, and we shall go there. Peace is a process. It is a way of solving problems."
    found = [
        load_compressor(str(run / "checkpoint")).compress([Passage("a", text)], budget=Budget(ratio=0.4))
        for run in runs
    ]
    assert found[0][0].text == found[1][0].text != ""


def test_more_processes_than_episodes_are_refused():
    assert mine(Accelerator(cpu=True), [7]) == [7]
    with pytest.raises(InvalidInputError, match="0 episodes a step do not go round 1"):
        mine(Accelerator(cpu=True), [])
