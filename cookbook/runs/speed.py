"""How fast is the default model, end to end, beside the bare encoder over the same windows?

Prints a card for people and a last line of JSON for machines. Medians of ``RUNS`` warm calls, each on
texts not seen before in the run (same sizes), but for ``again``: texts that another question was asked of
just before. Text: the speeches of the cookbook. Left out: GPUs.

    python cookbook/runs/speed.py
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from gist_core import Budget, Passage, load_compressor
from gist_core.loading import DEFAULT
from gist_core.selective.engine import load_parts
from gist_core.selective.network import start_network
from gist_core.selective.scorer import Scorer, WindowItem
from gist_core.selective.signals import prepare
from gist_core.tokens import token_counter

Item = TypeVar("Item")
RUNS = 15
QUERY = "What does the speaker say about the cost of the war and who will pay for it?"
BEFORE = "Which nations are named as allies?"
TEXT = " ".join(
    p.read_text(encoding="utf-8") for p in sorted((Path(__file__).parents[1] / "data" / "speeches").glob("*.txt"))
)
COLD = """
import resource, time
start = time.perf_counter()
from gist_core import Budget, Passage, load_compressor
text = {text!r}
load_compressor().compress([Passage("a", text)], query={query!r}, budget=Budget(ratio=0.25))
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def words(number: int, start: int = 0) -> str:
    """``number`` words of the text from word ``start`` on, going round."""
    found = TEXT.split()
    return " ".join(found[(start + i) % len(found)] for i in range(number))


def median_ms(call: Callable[[Item], object], prepare: Callable[[int], Item]) -> float:
    """Median milliseconds of ``call(prepare(run))`` after two warm-up runs; what prepares is not timed."""
    spent = []
    for run in range(RUNS + 2):
        prepared = prepare(run)
        began = time.perf_counter()
        call(prepared)
        spent.append(1000 * (time.perf_counter() - began))
    return statistics.median(spent[2:])


def passages(run: int, count: int, length: int) -> list[Passage]:
    """``count`` passages of ``length`` words, other ones in every run."""
    return [Passage(str(i), words(length, 997 * run + i * length)) for i in range(count)]


def bare_network(length: int) -> float:
    """Median milliseconds of the network alone over the windows of 20 passages, which are cut beforehand."""
    parts = load_parts(DEFAULT)
    scorer = Scorer(start_network(parts.model, torch.device("cpu"), torch.float32))

    def items(run: int) -> list[WindowItem]:
        texts = [p.text for p in passages(run, 20, length)]
        return prepare(texts, QUERY, parts.tokenizer, parts.model.config).items

    made = [items(run) for run in range(RUNS + 2)]
    return median_ms(scorer, made.__getitem__)


def main() -> None:
    """Measure and print."""
    # First, while this process is small: a child starts with the peak memory of its parent on its account.
    code = COLD.format(text=words(400), query=QUERY)
    cold, memory = map(
        float, subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.split()
    )
    compressor = load_compressor(device="cpu")
    budget = Budget(ratio=0.25)
    per_passage = 150
    count = token_counter("o200k_base").count
    length = next(n for n in range(80, 200) if count(words(n)) >= per_passage)

    def compressed(given: list[Passage]) -> object:
        return compressor.compress(given, query=QUERY, budget=budget)

    def known(given: list[Passage]) -> list[Passage]:
        compressor.compress(given, query=BEFORE, budget=budget)
        return given

    one = median_ms(compressed, lambda run: passages(run, 1, 400))
    many = median_ms(compressed, lambda run: passages(run, 20, length))
    one_again = median_ms(compressed, lambda run: known(passages(30 + run, 1, 400)))
    many_again = median_ms(compressed, lambda run: known(passages(30 + run, 20, length)))
    forward = bare_network(length)
    result = {
        "machine": f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "400_words_ms": round(one, 1),
        "20x150_tokens_ms": round(many, 1),
        "400_words_again_ms": round(one_again, 1),
        "20x150_tokens_again_ms": round(many_again, 1),
        "20x150_bare_network_ms": round(forward, 1),
        "share_of_bare_throughput": round(forward / many, 3),
        "tokens_per_second": round(20 * per_passage / many * 1000),
        "cold_start_s": round(cold, 2),
        "peak_memory_mib": round(memory),
    }
    for name, value in result.items():
        print(f"{name:28} {value}")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
