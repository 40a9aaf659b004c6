"""What archives are tested with: turns of all shapes, and processes that write and are killed."""

from __future__ import annotations

import itertools
import os
import sys
import threading

from hypothesis import strategies as st

from gist_core.memory.archive import Archive
from gist_core.memory.sql import SqlArchive
from gist_core.memory.turns import ToolCall, Turn

TEXTS = st.text(st.characters(exclude_categories=[]), max_size=30)
HARD_TEXTS = [
    "",
    "\0",
    "a\0b",
    "\ud83d",
    "\ud83d\ude00",  # two lone surrogates side by side, which are not the one character below
    "😀",
    "\udc80\ufffe\uffff",
    "\r\n\x85\u2028\x1b[0m",
    "\\u0041 \\ud83d \\n \\\\",
    "\"quoted\" 'too' ; DROP TABLE gist_turns; --",
    "مرحبا 東京 río e\u0301",
    "x" * 2_000_000,
]
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def turns(draw: st.DrawFn) -> Turn:
    role = draw(st.sampled_from(["system", "user", "assistant", "tool"]))
    calls = draw(st.lists(st.builds(ToolCall, TEXTS, TEXTS, TEXTS), max_size=2)) if role == "assistant" else []
    opaque = draw(st.lists(TEXTS, max_size=2))
    return Turn(
        role,
        draw(TEXTS),
        id=draw(TEXTS.filter(bool)),
        name=draw(st.none() | TEXTS),
        tool_calls=tuple(calls),
        tool_call_id=draw(st.none() | TEXTS),
        pinned=draw(st.booleans()),
        opaque=tuple(opaque),
        opaque_tokens=draw(st.integers(0, 9)) if opaque else 0,
        extra=draw(st.dictionaries(TEXTS, JSON_VALUES, max_size=2)),
    )


def batch(number: int) -> list[Turn]:
    """Three turns of its own, one that replaces the last batch's, and one that goes back and forth."""
    size = (number * 7919) % 30_000
    own = [Turn("user", f"{number}.{k} " + "word " * (size // 5), id=f"{number}-{k}") for k in range(3)]
    return [*own, Turn("user", f"head {number}", id="head"), Turn("user", f"side {number % 2}", id="side")]


def add_batches(path: str, conversation: str) -> None:
    """Adds batches without end, and says the number of each that was added."""
    archive = SqlArchive(path)
    for number in itertools.count():
        archive.add(conversation, batch(number), view=f"view {number}")
        os.write(1, f"{number}\n".encode())


def nursery() -> None:
    """Starts a process for each line ``path<TAB>conversation``; a fork is faster than another Python."""
    for line in sys.stdin:
        path, conversation = line.rstrip("\n").split("\t")
        child = os.fork()
        if child == 0:
            os.write(1, f"pid {os.getpid()}\n".encode())
            add_batches(path, conversation)
        os.waitpid(child, 0)
        os.write(1, b"dead\n")


def add_numbered(archive: Archive, conversation: str, writer: str, count: int) -> None:
    for number in range(count):
        archive.add(conversation, [Turn("user", f"{writer} says {number}", id=f"{writer}-{number}")], f"by {writer}")


def write_as(path: str, writer: str, count: str) -> None:
    """What one of several processes does to a file that all open at once."""
    with SqlArchive(path) as archive:
        add_numbered(archive, "chat", writer, int(count))


def open_at_once(folder: str, files: str, writers: str) -> None:
    """New files, each opened by several processes at the same moment."""
    failed = 0
    add_numbered(SqlArchive(f"{folder}/first.db"), "chat", "parent", 1)  # what is slow once is done before the race
    for file in range(int(files)):
        ready, start = os.pipe()
        children = []
        for writer in range(int(writers)):
            child = os.fork()
            if child == 0:
                os.close(start)
                os.read(ready, 1)  # until the parent closes its end, for all at once
                with SqlArchive(f"{folder}/{file}.db") as archive:
                    archive.add("chat", [Turn("user", "text", id=str(writer))])
                os._exit(0)
            children.append(child)
        os.close(ready)
        os.close(start)
        failed += sum(os.waitpid(child, 0)[1] != 0 for child in children)
    sys.exit(f"{failed} writers failed" if failed else 0)


def fork_while_writing(path: str, forks: str) -> None:
    """Children use the archive of their parent while a thread of the parent writes."""
    archive = SqlArchive(path)
    archive.add("chat", [Turn("user", "before all forks", id="first")])
    stop = threading.Event()

    def keep_writing() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            archive.add("thread", [Turn("user", str(number), id=str(number))])

    thread = threading.Thread(target=keep_writing)
    thread.start()
    children = []
    for number in range(int(forks)):
        child = os.fork()
        if child == 0:
            archive.get("chat", ["first"])
            add_numbered(archive, "chat", f"child {number}", 5)
            os._exit(0)
        children.append(child)
        archive.add("chat", [Turn("user", "from the parent", id=f"parent-{number}")])
    stop.set()
    thread.join()
    archive.close()
    failed = [child for child in children if os.waitpid(child, 0)[1] != 0]
    sys.exit(f"{len(failed)} children failed" if failed else 0)
