"""What only an archive in a LangGraph store promises: whatever the store does, and beside what else is there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from zlib import crc32

import pytest
from langgraph.store.base import PutOp, SearchOp
from langgraph.store.memory import InMemoryStore

from gist_core.errors import ArchiveError, InvalidInputError
from gist_core.memory import ConversationCompactor, MemoryPolicy, Turn
from langchain_gist.memory.store import StoreArchive
from tests.helpers.archives import HARD_TEXTS, add_numbered

ROOT = Path(__file__).parents[2]


def said(count: int, start: int = 0) -> list[Turn]:
    return [Turn("user", f"text {number}", id=f"id {number}") for number in range(start, start + count)]


class Counting(InMemoryStore):
    """Keeps the operations of each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[object]] = []

    def batch(self, ops):
        self.batches.append(list(ops))
        return super().batch(self.batches[-1])


class Dying(InMemoryStore):
    """Writes one operation after the other, and fails after so many."""

    left = 1_000_000

    def batch(self, ops):
        found = []
        for op in ops:
            if isinstance(op, PutOp):
                if self.left == 0:
                    raise OSError("connection lost")
                self.left -= 1
            found += super().batch([op])
        return found


class Newest(InMemoryStore):
    """Finds items as a database that sorts by time may: in any order where times are equal, anew by each limit."""

    def batch(self, ops):
        ops = list(ops)
        found = super().batch([op._replace(limit=9**9, offset=0) if isinstance(op, SearchOp) else op for op in ops])
        for at, op in enumerate(ops):
            if isinstance(op, SearchOp):
                mixed = sorted(found[at], key=lambda item, op=op: crc32(f"{item.key} {op.limit} {op.offset}".encode()))
                found[at] = mixed[op.offset : op.offset + op.limit]
        return found


def shared(store: InMemoryStore) -> InMemoryStore:
    """Another store over the same items, as another process has it."""
    other = InMemoryStore()
    other._data = store._data
    return other


def test_it_keeps_apart_from_what_else_is_in_the_store():
    store = InMemoryStore()
    for namespace in [("gist2",), ("other", "gist"), ("g",)]:
        store.put(namespace, "key", {"turn": "not ours"})
    archives = [StoreArchive(store), StoreArchive(store, ("gist", "inner")), StoreArchive(store, ("app", "chats"))]
    for number, archive in enumerate(archives):
        archive.add("chat", said(2, start=number), f"view {number}")
    for number, archive in enumerate(archives):
        assert archive.turns("chat") == said(2, start=number)
        assert archive.saved_view("chat") == f"view {number}"
        assert archive.conversations() == ["chat"]
    archives[0].delete("chat")
    assert archives[0].turns("chat") == []
    assert archives[1].turns("chat") == said(2, start=1)
    assert store.get(("gist2",), "key").value == {"turn": "not ours"}


@pytest.mark.parametrize("bad", [(), ("",), "gist", ["gist"], ("a.b",), ("langgraph",), ("a", 1), ("a\0",)])
def test_a_namespace_that_no_store_takes_is_refused(bad):
    with pytest.raises(InvalidInputError, match="namespace"):
        StoreArchive(InMemoryStore(), bad)


def test_namespaces_keys_and_values_are_plain_enough_for_every_store():
    store = InMemoryStore()
    for text in HARD_TEXTS[:-1]:
        StoreArchive(store).add(f"chat{text}", [Turn("user", text, id=f"id{text}")], text)
    for namespace, items in store._data.items():
        for key, item in items.items():
            store.put(namespace, key, item.value)  # checks the labels
            written = [*namespace, key, *map(str, item.value.values())]
            assert all(text.isascii() and text.isprintable() for text in written)


def test_an_add_is_one_read_and_one_batch_whatever_is_there():
    store = Counting()
    archive = StoreArchive(store)
    archive.add("chat", said(300), "view")
    sizes = []
    for number in range(300, 310):
        store.batches.clear()
        archive.add("chat", said(3, start=number), "view")
        assert len(store.batches) == 2
        sizes.append(sum(len(batch) for batch in store.batches))
    assert len(set(sizes[1:])) == 1
    store.batches.clear()
    archive.add("chat", said(300))  # nothing new
    assert len(store.batches) == 1


def test_turns_are_not_indexed():
    def embed(texts):
        raise AssertionError("nothing is to be embedded")

    store = InMemoryStore(index={"dims": 2, "embed": embed})
    archive = StoreArchive(store)
    archive.add("chat", said(2), "view")
    assert archive.turns("chat") == said(2)


def test_stores_that_sort_as_they_like_lose_no_turn():
    archive = StoreArchive(Newest())
    archive.add("chat", said(2_500))
    archive.add("chat", said(10, start=2_500))
    assert archive.turns("chat") == said(2_510)
    archive.delete("chat")
    assert archive.turns("chat") == []
    assert not [items for items in archive.store._data.values() if items]


@pytest.mark.parametrize("left", range(12))
def test_of_an_add_that_was_cut_off_nothing_is_shown_or_all_turns(left):
    """Even where the store writes piece by piece; and the same turns can be added again."""
    store = Dying()
    archive = StoreArchive(store)
    archive.add("chat", said(2), "view 1")
    store.left = left
    with pytest.raises(ArchiveError, match=r"Dying.*connection lost"):
        archive.add("chat", said(6, start=2), "view 2")
    store.left = 1_000_000
    assert archive.turns("chat") == said(8 if left >= 6 else 2)
    assert archive.saved_view("chat") == "view 1"
    shown = archive.turns("chat")
    assert archive.get("chat", [turn.id for turn in shown]) == shown
    archive.add("chat", said(6, start=2), "view 2")
    assert archive.turns("chat") == said(8)
    assert archive.get("chat", [turn.id for turn in said(8)]) == said(8)
    assert archive.saved_view("chat") == "view 2"


def test_of_a_large_add_that_was_cut_off_between_batches_nothing_is_shown():
    store = Dying()
    store.left = 1_500
    archive = StoreArchive(store)
    with pytest.raises(ArchiveError):
        archive.add("chat", said(2_000), "view")
    store.left = 1_000_000
    assert archive.turns("chat") == []
    assert archive.saved_view("chat") is None
    assert archive.conversations() == []
    archive.add("chat", said(2_000), "view")
    assert archive.turns("chat") == said(2_000)


@pytest.mark.parametrize("same", [True, False])
def test_writers_lose_nothing_and_keep_their_order(same):
    """Archives over one store; and over two that share their items, as those of two processes do."""
    store = InMemoryStore()
    stores = [store, store if same else shared(store)]
    writers = [
        threading.Thread(target=add_numbered, args=[StoreArchive(stores[n % 2]), "chat", f"writer {n}", 40])
        for n in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    found = [turn.id for turn in StoreArchive(store).turns("chat")]
    assert len(found) == 160
    for number in range(4):
        own = [name for name in found if name.startswith(f"writer {number}-")]
        assert own == [f"writer {number}-{n}" for n in range(40)]
    assert len(StoreArchive(store).get("chat", found)) == 160


def test_a_clock_that_goes_back_does_not_change_the_order(monkeypatch):
    archive = StoreArchive(InMemoryStore())
    for number, now in enumerate([10**18, 5, 2 * 10**18, 7, 7]):
        monkeypatch.setattr("langchain_gist.memory.store.time.time_ns", lambda now=now: now)
        monkeypatch.setattr("langchain_gist.memory.store._newest", 0)  # a process that has just started
        archive.add("chat", said(1, start=number))
    assert archive.turns("chat") == said(5)


def test_a_conversation_goes_on_from_the_store():
    store = InMemoryStore()
    policy = MemoryPolicy(high_water=100_000)
    ConversationCompactor(policy, archive=StoreArchive(store), conversation="c").append(*said(3))
    again = ConversationCompactor(policy, archive=StoreArchive(store), conversation="c")
    assert again.view().turns == tuple(said(3))


def test_importing_it_imports_no_langgraph():
    code = "import sys, langchain_gist.memory.store; print({'langgraph', 'torch', 'sqlalchemy'} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "core")])}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == "set()"
