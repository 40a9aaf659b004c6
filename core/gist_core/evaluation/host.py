"""The machine that something is measured on, and the memory a call takes in a process of its own."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

from gist_core.budget import Budget
from gist_core.compressor import TextCompressor
from gist_core.passage import Passage

_CPU_INFO = Path("/proc/cpuinfo")
_STATUS = Path("/proc/self/status")


def machine_name() -> str:
    """Processor, threads that torch computes with, version of torch."""
    import torch

    return f"{_processor()}, {torch.get_num_threads()} threads, torch {version('torch')}"


def peak_memory(system: TextCompressor, passages: Sequence[Passage], query: str | None, budget: Budget) -> float | None:
    """MiB that a fresh process holds at most while it loads the system and makes one call.

    All of it counts: the interpreter, the libraries, the model, the text and the result.

    Args:
        system: Is pickled, so it must pickle as its settings.
        passages: What is compressed.
        query: What is asked.
        budget: How much may stay.

    Returns:
        None where the system does not tell: on Windows.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_peak_of_call, system, list(passages), query, budget).result()


def _peak_of_call(system: TextCompressor, passages: list[Passage], query: str | None, budget: Budget) -> float | None:
    system.compress(passages, query=query, budget=budget)
    return _peak_mib()


def _peak_mib() -> float | None:
    """Of this process. Not ru_maxrss where it can be helped: Linux hands that on from the process that started it."""
    if _STATUS.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())):
        return int(found[1]) / 1024
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def _processor() -> str:
    if _CPU_INFO.exists() and (found := re.search(r"model name\s*:\s*(.+)", _CPU_INFO.read_text())):
        return found[1].strip()
    return platform.processor() or platform.machine()
