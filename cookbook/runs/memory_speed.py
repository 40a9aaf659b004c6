"""How fast is chat memory after 10,000 turns, and how much of each prompt is what the provider has seen before?

Appends a conversation turn by turn at a limit of 4,000 tokens and prints a Markdown report and a last line of JSON.
Each archive has a process of its own, so that one does not hold what the other needs.

    python cookbook/runs/memory_speed.py [TURNS_FILE] [--turns 10000]

TURNS_FILE has one turn a line and goes round; without it, turns are made of sentences from a seeded list of words.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

LIMIT, LOW, LAST, SUMMARY = 4_000, 2_000, 6, 500
STEP = 100
ARCHIVES = ("memory", "sql")
NAMES = re.findall(r"\w+", "Ann Ben Carla Dmitri Elena Farid Grace Hugo Ines Jonas Kavita Liam Mara Nils Olga Pavel")
PLACES = re.findall(r"\w+", "Lisbon Oslo Kyoto Denver Leeds Turin Lagos Quito Bergen Porto Austin Delhi")
THINGS = re.findall(r"\w+", "invoice budget report contract garden server ticket parcel kitchen sensor survey poster")
DEEDS = re.findall(r"\w+", "checked moved lost found paid opened closed painted printed measured ordered returned")
ASIDES = (
    "That sounds fine to me.",
    "Hm, let me think about it.",
    "I was there with my sister once.",
    "Thanks a lot!",
    "Right, that is what I meant.",
    "The weather has been awful all week.",
    "Could you say more about that?",
    "I did not sleep well, but never mind.",
)

Message = tuple[str, int]  # what tells it from others, tokens


def sentence(rng: random.Random) -> str:
    """A sentence with names and numbers, or small talk."""
    name, place, thing, deed = (rng.choice(words) for words in (NAMES, PLACES, THINGS, DEEDS))
    number, day = rng.randint(2, 9_999), rng.randint(1, 28)
    return rng.choice(
        [
            f"{name} {deed} the {thing} in {place} on May {day}.",
            f"The {thing} costs {number} euros, and {name} wants it by the {day}th.",
            f"Did anyone ask {name} whether the {thing} was {deed}?",
            f"I'll send {name} the {thing} number {number} tomorrow.",
            f"We decided to meet in {place} because the {thing} is there.",
            *ASIDES,
        ]
    )


def texts(path: Path | None) -> Iterator[str]:
    """Texts of turns without end."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()] if path else []
    rng = random.Random(13)
    while True:
        yield from lines or (" ".join(sentence(rng) for _ in range(rng.randint(1, 4))) for _ in range(STEP))


@dataclass
class Prompts:
    """Counts what of each prompt stood at the beginning of the one before it."""

    name: str
    before: Sequence[Message] = ()
    tokens: int = 0
    hit: int = 0
    grown: int = 0
    count: int = 0

    def add(self, prompt: Sequence[Message]) -> None:
        """The next prompt."""
        common = 0
        for old, new in zip(self.before, prompt, strict=False):
            if old != new:
                break
            common += 1
        self.tokens += sum(size for _, size in prompt)
        self.hit += sum(size for _, size in prompt[:common])
        self.grown += common == len(self.before)
        self.count += 1
        self.before = list(prompt)

    def row(self) -> dict[str, Any]:
        """Shares of turns and tokens, tokens a prompt."""
        return {
            "memory": self.name,
            "prefix_unchanged_%": round(100 * self.grown / self.count, 1),
            "cached_%": round(100 * self.hit / self.tokens, 1),
            "tokens_a_prompt": round(self.tokens / self.count),
            "new_tokens_a_prompt": round((self.tokens - self.hit) / self.count),
        }


def trimmed(view: Sequence[Message], new: Message) -> list[Message]:
    """The newest messages within the limit."""
    found = [*view, new]
    while sum(size for _, size in found) > LIMIT:
        found.pop(0)
    return found


def summarised(view: Sequence[Message], new: Message) -> list[Message]:
    """All messages; above the limit, a new summary and the last ones."""
    found = [*view, new]
    if sum(size for _, size in found) > LIMIT:
        found = [(f"summary before {new[0]}", SUMMARY), *found[-LAST:]]
    return found


def measure(archive: str, path: Path | None, turns: int) -> dict[str, Any]:
    """One conversation, appended turn by turn."""
    from gist_core.memory import ConversationCompactor, MemoryPolicy, Turn
    from gist_core.memory.counting import TurnCounter

    policy = MemoryPolicy(high_water=LIMIT, low_water=LOW, keep_last=LAST)
    counter = TurnCounter(policy)
    milliseconds, cpu, scored, peaks, read = [], [], [], {}, 0
    ours, window, summary = Prompts("gist"), Prompts("last turns within the limit"), Prompts("summary at the limit")
    with tempfile.TemporaryDirectory() as folder:
        memory = ConversationCompactor(policy, archive=make_archive(archive, Path(folder)))
        for number, text in zip(range(turns), texts(path), strict=False):
            turn = Turn("user" if number % 2 == 0 else "assistant", text, id=f"t{number}")
            began, worked = time.perf_counter(), time.process_time()
            view = memory.append(turn)
            milliseconds.append(1000 * (time.perf_counter() - began))
            cpu.append(1000 * (time.process_time() - worked))
            scored.append(view.usage.tokens_scored)
            new = (turn.id, counter.turn(turn))
            read += new[1]
            ours.add([(t.id, counter.turn(t)) for t in view.turns])
            window.add(trimmed(window.before, new))
            summary.add(summarised(summary.before, new))
            if number + 1 in (turns // 10, turns):
                peaks[number + 1] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    tenth = turns // 10
    early, late = slice(tenth, 2 * tenth), slice(turns - tenth, turns)
    return {
        "archive": archive,
        "turns": turns,
        "tokens": read,
        "ms": means(milliseconds),
        "scored": means(scored),
        "scored_%": round(100 * sum(scored) / read, 1),
        "early_ms": round(statistics.fmean(milliseconds[early]), 2),
        "late_ms": round(statistics.fmean(milliseconds[late]), 2),
        "early_cpu_ms": round(statistics.fmean(cpu[early]), 2),
        "late_cpu_ms": round(statistics.fmean(cpu[late]), 2),
        "cpu_late_over_early": round(statistics.fmean(cpu[late]) / statistics.fmean(cpu[early]), 2),
        "scored_late_over_early": round(sum(scored[late]) / max(sum(scored[early]), 1), 2),
        "median_ms": round(statistics.median(milliseconds), 3),
        "slowest_ms": round(max(milliseconds)),
        "peak_growth_mib": round(peaks[turns] - peaks[tenth], 1),
        "peak_mib": round(peaks[turns]),
        "prompts": [p.row() for p in (ours, window, summary)],
    }


def make_archive(name: str, folder: Path) -> Any:
    """An archive in memory or in a SQLite file."""
    from gist_core.memory import MemoryArchive

    if name == "memory":
        return MemoryArchive()
    from gist_core.memory.sql import SqlArchive

    return SqlArchive(folder / "archive.sqlite")


def means(values: Sequence[float]) -> list[float]:
    """The mean of each hundred values."""
    edges = [*range(0, len(values), STEP), len(values)]
    return [round(statistics.fmean(values[a:b]), 2) for a, b in pairwise(edges)]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def report(results: Sequence[dict[str, Any]]) -> str:
    """The tables for people."""
    times = ["median_ms", "early_ms", "late_ms", "early_cpu_ms", "late_cpu_ms", "cpu_late_over_early"]
    costs = [*times, "slowest_ms", "scored_%", "scored_late_over_early", "peak_growth_mib", "peak_mib"]
    first = results[0]
    per_step = zip(*(r["ms"] for r in results), first["scored"], strict=True)
    steps = [[(at + 1) * STEP, *row] for at, row in enumerate(per_step)]
    shown = steps[:: max(1, len(steps) // 10)]
    prompts = first["prompts"]
    return "\n\n".join(
        [
            f"{platform.processor() or platform.machine()}; {first['turns']} turns of {first['tokens']} tokens, "
            f"compacted from {LIMIT} to {LOW}; early: the second tenth, late: the last; CPU time of all threads.",
            table(["archive", *costs], [[r["archive"], *(r[c] for c in costs)] for r in results]),
            table(
                ["hundred turns up to", *(f"ms a turn, {r['archive']}" for r in results), "tokens read a turn"], shown
            ),
            table(list(prompts[0]), [list(p.values()) for p in prompts]),
        ]
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", nargs="?", type=Path)
    parser.add_argument("--turns", type=int, default=10_000)
    parser.add_argument("--archive", choices=ARCHIVES, help="measure this one here, as JSON")
    asked = parser.parse_args()
    if asked.archive:
        print(json.dumps(measure(asked.archive, asked.path, asked.turns)))
        return
    results = []
    for archive in ARCHIVES:
        command = [sys.executable, __file__, "--archive", archive, "--turns", str(asked.turns)]
        done = subprocess.run([*command, *([str(asked.path)] if asked.path else [])], capture_output=True, check=True)
        results.append(json.loads(done.stdout.splitlines()[-1]))
    print(report(results))
    print(json.dumps(results))


if __name__ == "__main__":
    main()
