"""How fast is the default model beside LLMLingua-2, how does its time grow with the length, what memory does it need?

LLMLingua-2 runs through its own package in its two published shapes with random weights: time does not depend on
weights. Its tokenizer is learned from the same speeches, so its own token counts may differ by a few per cent; tokens
are cl100k_base for all. It is called in two ways: passage by passage, as one must who needs to know what came from
where, and with all passages joined into one text, which is faster, since the package pads every text to 512 tokens.
Prints a card for people and a last line of JSON for machines. Left out: GPUs, quality.

    python cookbook/runs/peers_speed.py [OUT] [--short]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gist_core import load_compressor
from gist_core.compressor import TextCompressor
from gist_core.evaluation.speed import SpeedRow, exponent, run_speed
from gist_core.evaluation.speed_cases import CASES, LONG_CASES, SpeedCase
from gist_core.evaluation.systems.llmlingua_shapes import SHAPES, Shape, random_llmlingua2

OURS = "gist"
SPEECHES = Path(__file__).parents[1] / "data" / "speeches"
BESIDE = SpeedCase("20 passages of 100 tokens", 20, 100, most=7, seconds=1_800.0)


def speeches() -> list[str]:
    """The texts that all cases are drawn from."""
    return [path.read_text(encoding="utf-8") for path in sorted(SPEECHES.glob("*.txt"))]


def peers(shapes: Mapping[str, Shape], texts: Sequence[str], folder: Path) -> dict[str, TextCompressor]:
    """LLMLingua-2 in each shape, called in both ways."""
    found: dict[str, TextCompressor] = {}
    for size, shape in shapes.items():
        name = f"llmlingua-2-{size}"
        found[name], found[f"{name}, joined"] = random_llmlingua2(shape, texts, folder / size)
    return found


def card(rows: Sequence[SpeedRow]) -> dict[str, Any]:
    """What is said of the rows: tokens per second side by side, how many times faster, growth and memory."""
    beside = {r["system"]: r["tokens_per_second"] for r in rows if r["name"] == BESIDE.name}
    ours = beside.get(OURS) or 0.0
    slope = exponent(rows, OURS)
    return {
        "machine": rows[0]["machine"],
        "tokens_per_second": {name: round(value) for name, value in beside.items() if value},
        "times_faster_than": {n: round(ours / v, 1) for n, v in beside.items() if v and n != OURS},
        "p50_ms": {r["name"]: round(r["p50_ms"], 1) for r in rows if r["system"] == OURS and r["p50_ms"]},
        "exponent": round(slope, 3) if slope else None,
        "peak_memory_mib": next((round(r["peak_mib"]) for r in rows if r["peak_mib"]), None),
        "left_out": [f"{r['system']}, {r['name']}: {r['left_out']}" for r in rows if "left_out" in r],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, help="folder for speed.jsonl; none is kept if not given")
    parser.add_argument("--short", action="store_true", help="the passages alone, without the growth with the length")
    asked = parser.parse_args()
    texts = speeches()
    lengths = [*(case for case in CASES if case.passages == 1), *LONG_CASES]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        systems = {OURS: load_compressor(device="cpu"), **peers(SHAPES, texts, folder)}
        out = (asked.out or folder) / "speed.jsonl"
        longest = () if asked.short else [OURS]
        rows = run_speed(systems, out, texts, cases=[BESIDE], longest=longest, long_cases=lengths)
    found = card(rows)
    for key, value in found.items():
        print(f"{key:20} {value}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
