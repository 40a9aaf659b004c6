"""How time and memory grow with the length of a text, up to a million tokens: one passage, a question, a quarter kept.

    python cookbook/runs/long.py

Prints the seconds of CPU time, of all cores together (what other work on the machine does not change), and the peak
of the process so far. Three minutes on two cores.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

from gist_core import load_compressor
from gist_core.evaluation.fresh import FreshTexts
from gist_core.evaluation.speed import BUDGET, TOKENIZER
from gist_core.evaluation.speed_cases import of_length

SPEECHES = Path(__file__).parents[1] / "data" / "speeches"
SIZES = (1_000, 30_000, 100_000, 300_000, 1_000_000)  # the first is not counted: it loads the weights


def main() -> None:
    """Measure and print."""
    fresh = FreshTexts([p.read_text(encoding="utf-8") for p in sorted(SPEECHES.glob("*.txt"))], TOKENIZER)
    compressor = load_compressor(device="cpu")
    for size in SIZES:
        passages, query = of_length(size).draw(fresh), fresh.query()
        began = time.process_time()
        [result] = compressor.compress(passages, query=query, budget=BUDGET)
        spent, peak = time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        if size > SIZES[0]:
            print(f"{result.usage.tokens_in:,} tokens: {spent:.1f} s of CPU time, peak {peak:,.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
