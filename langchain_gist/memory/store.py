"""An archive in a LangGraph store, beside whatever else an application keeps there."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gist_core.errors import ArchiveError, GistError, InvalidInputError
from gist_core.memory.archive import (
    check_addition,
    check_conversation,
    check_ids,
    from_ascii,
    to_ascii,
    turn_from_text,
    turn_to_text,
    turns_of,
)
from gist_core.memory.turns import Turn

if TYPE_CHECKING:
    from langgraph.store.base import BaseStore, Item, Op, PutOp

_AT_ONCE = 1_000  # operations in a batch: SQL stores make one statement of them, whose parameters are limited
_LEAST = 1_000  # what a search asks for first
_MORE = 4  # and how many times that, as long as it gets all it asked for

_Namespace = tuple[str, ...]


class StoreArchive:
    """An ``Archive`` over a LangGraph ``BaseStore``, by its synchronous methods.

    What it can promise is what the store's ``batch`` can. An ``add`` of a few hundred turns is one batch, and the
    stores of LangGraph write a batch as a whole, so turns and view come together. A larger one takes several batches,
    the turns before the view: if the process dies between them, the earlier view stands, and turns of which some are
    missing are not shown.

    A ``BaseStore`` has neither transactions over several batches nor locks. Within a process, archives over the same
    store wait for each other. Where two processes add to one conversation at once, neither loses a turn and each one's
    turns keep their order; the last view wins, and of two versions of a turn ``get`` may give either.

    Turns are not indexed for search, and the archive asks for no expiry. The methods block; asynchronous stores refuse
    them on the thread of their event loop, so call them from another one.

    Args:
        store: Any store; it is not closed.
        namespace: Where in the store; nothing else should be kept there.

    Raises:
        InvalidInputError: The namespace is none that a store takes.
    """

    def __init__(self, store: BaseStore, namespace: tuple[str, ...] = ("gist",)) -> None:
        _check_namespace(namespace)
        self.store = store
        self.namespace = namespace

    def add(self, conversation: str, turns: Sequence[Turn], view: str | None = None) -> None:
        """Appends turns and replaces the view. See ``Archive.add`` and what is said above.

        Raises:
            InvalidInputError: The conversation is no name, a turn has no id, is a gist or cannot be written as JSON.
            ArchiveError: The store fails.
        """
        from langgraph.store.base import PutOp

        check_addition(conversation, turns, view)
        bodies = [turn_to_text(turn) for turn in turns]
        key, here = _key(conversation), self._here(conversation)
        with self._working():
            ops: list[PutOp] = []
            if turns:
                record, *known = self._items([(self._index, key), *((here.ids, _key(turn.id)) for turn in turns)])
                draft = _Draft(_order(after=record.value["last"] if record else 0))
                for turn, body, item in zip(turns, bodies, known, strict=True):
                    draft.enter(turn, body, item.value["versions"] if item else [])
                ops = draft.turns(here)
                if ops:
                    value = {"name": to_ascii(conversation), "last": draft.order}
                    ops.append(PutOp(self._index, key, value, index=False))
                ops += draft.ids(here)
            if view is not None:
                ops.append(PutOp(here.top, "view", {"view": to_ascii(view)}, index=False))
            self._write(ops)

    def get(self, conversation: str, ids: Sequence[str]) -> list[Turn]:
        """The turns of these ids. See ``Archive.get``.

        Raises:
            InvalidInputError: One is not there; the message names it.
            ArchiveError: The store fails, or a turn in it is damaged.
        """
        check_ids(conversation, ids)
        here = self._here(conversation)
        with self._working():
            known = self._items([(here.ids, _key(name)) for name in ids])
            latest = {name: item.value["versions"][-1][1] for name, item in zip(ids, known, strict=True) if item}
            items = self._items([(here.turns, key) for key in latest.values()])
        found = {name: item.value["turn"] for name, item in zip(latest, items, strict=True) if item}
        if len(found) < len(set(ids)):  # also where an add was cut off between its turns and their ids
            found = {turn.id: turn_to_text(turn) for turn in self.turns(conversation)} | found
        return turns_of(conversation, ids, found)

    def turns(self, conversation: str) -> list[Turn]:
        """All turns in the order of their first arrival. See ``Archive.turns``.

        Raises:
            ArchiveError: The store fails, or a turn in it is damaged.
        """
        check_conversation(conversation)
        here = self._here(conversation)
        with self._working():
            items = self._below(here.turns)
        found: dict[tuple[str, str], Turn] = {}
        for item in _whole(items):
            turn = turn_from_text(item.value["turn"])
            found.setdefault((turn.id, item.value["digest"]), turn)
        return list(found.values())

    def saved_view(self, conversation: str) -> str | None:
        """The view saved last.

        Raises:
            ArchiveError: The store fails.
        """
        check_conversation(conversation)
        with self._working():
            (item,) = self._items([(self._here(conversation).top, "view")])
        return from_ascii(item.value["view"]) if item else None

    def conversations(self) -> list[str]:
        """The conversations that hold a turn, sorted.

        Raises:
            ArchiveError: The store fails.
        """
        with self._working():
            return sorted(from_ascii(item.value["name"]) for item in self._below(self._index))

    def delete(self, conversation: str) -> None:
        """Forgets a conversation. See ``Archive.delete``.

        Raises:
            ArchiveError: The store fails.
        """
        from langgraph.store.base import PutOp

        check_conversation(conversation)
        with self._working():
            gone = [(self._index, _key(conversation))]
            gone += [(item.namespace, item.key) for item in self._below(self._here(conversation).top)]
            self._write([PutOp(namespace, key, None) for namespace, key in gone])

    @property
    def _index(self) -> _Namespace:
        return (*self.namespace, "conversations")

    def _here(self, conversation: str) -> _Place:
        return _Place((*self.namespace, _key(conversation)))

    @contextmanager
    def _working(self) -> Iterator[None]:
        """One call at a time for each store; what a store raises becomes an ArchiveError."""
        with _lock_of(self.store):
            try:
                yield
            except GistError:
                raise
            except Exception as error:  # every store has errors of its own
                raise ArchiveError(
                    f"The store {type(self.store).__name__} fails: {error!r}.", hint="See that it is open and set up."
                ) from error

    def _items(self, wanted: Sequence[tuple[_Namespace, str]]) -> list[Item | None]:
        from langgraph.store.base import GetOp

        found: list[Any] = []
        for some in _some([GetOp(namespace, key) for namespace, key in wanted]):
            found.extend(self.store.batch(some))
        return found

    def _below(self, namespace: _Namespace) -> list[Item]:
        """Every item in a namespace and below it.

        Pages by offset could miss some: stores sort by time alone, and what one batch wrote has the same time.
        """
        limit = _LEAST
        while len(found := self.store.search(namespace, limit=limit)) >= limit:
            limit *= _MORE
        return [item for item in found if item.namespace[: len(namespace)] == namespace]

    def _write(self, ops: Sequence[PutOp]) -> None:
        for some in _some(ops):
            self.store.batch(some)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the items of one conversation are."""

    top: _Namespace

    @property
    def turns(self) -> _Namespace:
        return (*self.top, "turns")

    @property
    def ids(self) -> _Namespace:
        return (*self.top, "ids")


@dataclass(slots=True)
class _Draft:
    """What one ``add`` writes: turns under keys that sort by arrival, and for each id its versions, the latest last.

    Beside the order a key holds what nobody else's does, so that no process writes over another's turns.
    """

    order: int
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    bodies: dict[str, tuple[str, str]] = field(default_factory=dict)
    versions: dict[str, list[list[str]]] = field(default_factory=dict)

    def enter(self, turn: Turn, body: str, known: list[list[str]]) -> None:
        versions, digest = self.versions.get(turn.id, known), turn.digest
        same = next((version for version in versions if version[0] == digest), None)
        if same is None:
            same = [digest, f"{self.order:020d}-{self.token}-{len(self.bodies):08d}"]
            self.bodies[same[1]] = (digest, body)
        elif same is versions[-1]:
            return
        self.versions[turn.id] = [*(version for version in versions if version is not same), same]

    def turns(self, here: _Place) -> list[PutOp]:
        from langgraph.store.base import PutOp

        size = len(self.bodies)
        return [
            PutOp(here.turns, key, {"turn": body, "digest": digest, "of": size}, index=False)
            for key, (digest, body) in self.bodies.items()
        ]

    def ids(self, here: _Place) -> list[PutOp]:
        from langgraph.store.base import PutOp

        return [
            PutOp(here.ids, _key(name), {"versions": versions}, index=False) for name, versions in self.versions.items()
        ]


def _whole(items: Iterable[Item]) -> Iterator[Item]:
    """Items in the order of their keys, without those of an ``add`` that was cut off."""
    added: dict[str, list[Item]] = {}
    for item in sorted(items, key=lambda item: item.key):
        added.setdefault(item.key.rpartition("-")[0], []).append(item)
    return (item for together in added.values() if len(together) == together[0].value["of"] for item in together)


def _some(ops: Sequence[Op]) -> Iterator[Sequence[Op]]:
    return (ops[start : start + _AT_ONCE] for start in range(0, len(ops), _AT_ONCE))


def _key(name: str) -> str:
    """Labels and keys must not hold everything that a name may."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _check_namespace(namespace: object) -> None:
    labels = namespace if isinstance(namespace, tuple) else ()
    usable = all(isinstance(label, str) and label and "." not in label and "\0" not in label for label in labels)
    if not labels or not usable or labels[0] == "langgraph":
        raise InvalidInputError(
            f"The namespace is {namespace!r}.",
            hint="Pass a tuple of non-empty strings without full stops; the first is not 'langgraph'.",
        )


_guard = threading.Lock()
_locks: weakref.WeakKeyDictionary[BaseStore, threading.Lock] = weakref.WeakKeyDictionary()
_newest = 0


def _lock_of(store: BaseStore) -> threading.Lock:
    with _guard:
        return _locks.setdefault(store, threading.Lock())


def _order(*, after: int) -> int:
    """A number above ``after`` and above all that this process had before; for others the clock decides."""
    global _newest  # noqa: PLW0603 - one clock for all archives of the process
    with _guard:
        _newest = max(time.time_ns(), after + 1, _newest + 1)
        return _newest
