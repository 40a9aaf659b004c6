"""An archive in a SQL database: a SQLite file, or any other that SQLAlchemy speaks to. Needs the extra ``memory``."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from gist_core.errors import ArchiveError, InvalidInputError, MissingExtraError
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

try:
    import sqlalchemy as sa
    from sqlalchemy import event
    from sqlalchemy.dialects.mysql import LONGTEXT
    from sqlalchemy.engine import Connection, Engine, make_url
    from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, SQLAlchemyError
except ModuleNotFoundError as error:
    raise MissingExtraError("SqlArchive needs SQLAlchemy.", hint='pip install "gist-compressor[memory]"') from error

FORMAT = 1
_BUSY_SECONDS = 60.0  # how long a writer waits for another process before it gives up
_AT_ONCE = 500  # ids in one statement; old SQLite takes 999 parameters
_ATTEMPTS = 3

_metadata = sa.MetaData()
_text = sa.Text().with_variant(LONGTEXT(), "mysql", "mariadb")
_formats = sa.Table(
    "gist_format",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
)
# Names are kept under their hashes: an index takes no text of any length, nor lone surrogates.
_conversations = sa.Table(
    "gist_conversations",
    _metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("name", _text, nullable=False),
    sa.Column("next", sa.Integer, nullable=False),  # the next number for position and arrival
    sa.Column("view", _text),
)
_turns = sa.Table(
    "gist_turns",
    _metadata,
    sa.Column("conversation", sa.String(64), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),  # in the order of first arrival
    sa.Column("arrival", sa.Integer, nullable=False),  # of two with one id, the higher is the later one
    sa.Column("turn", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("body", _text, nullable=False),
    sa.UniqueConstraint("conversation", "turn", "digest"),
)

_Result = TypeVar("_Result")
_Row = dict[str, Any]


class SqlArchive:
    """An ``Archive`` in a SQL database, safe to share between threads and processes.

    In a SQLite file an ``add`` that has returned is on the disk (write-ahead log, ``synchronous=FULL``); one that was
    cut off leaves nothing behind. Any number of processes may use one file. An archive can be pickled, and a process
    can fork while it is open: the connection is closed first and opened again when it is next needed.

    Args:
        url_or_path: A path is a SQLite file, which is created if it is not there, its folder is not; anything with
            ``://`` is a SQLAlchemy URL.

    Raises:
        InvalidInputError: It is neither, or names a database in memory.
        ArchiveError: The database cannot be opened, or holds a format that this version does not know.
    """

    def __init__(self, url_or_path: str | os.PathLike[str]) -> None:
        self._start(_url(url_or_path))
        with self._connected():
            pass

    def _start(self, url: sa.URL) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._closer: Callable[[], object] = _nothing
        with _forking:
            _living.add(self)

    def __getstate__(self) -> str:
        return self._url.render_as_string(hide_password=False)

    def __setstate__(self, url: str) -> None:
        self._start(make_url(url))

    def __enter__(self) -> SqlArchive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SqlArchive({_place(self._url)!r})"

    def close(self) -> None:
        """Lets go of the connection; a later call opens it again."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        self._closer()
        self._engine, self._closer = None, _nothing

    def add(self, conversation: str, turns: Sequence[Turn], view: str | None = None) -> None:
        """Appends turns and replaces the view in one transaction. See ``Archive.add``.

        Raises:
            InvalidInputError: The conversation is no name, a turn has no id, is a gist or cannot be written as JSON.
            ArchiveError: The database fails; nothing was added.
        """
        check_addition(conversation, turns, view)
        rows = [{"body": turn_to_text(turn), "turn": _key(turn.id), "digest": turn.digest} for turn in turns]
        if rows or view is not None:
            self._run(lambda connection: _add(connection, conversation, rows, view), writes=True)

    def get(self, conversation: str, ids: Sequence[str]) -> list[Turn]:
        """The turns of these ids. See ``Archive.get``.

        Raises:
            InvalidInputError: One is not there; the message names it.
            ArchiveError: The database fails, or a turn in it is damaged.
        """
        check_ids(conversation, ids)
        names = {_key(name): name for name in ids}
        rows = self._run(lambda connection: _versions(connection, _key(conversation), names, _turns.c.body))
        return turns_of(conversation, ids, {names[row["turn"]]: row["body"] for row in rows})

    def turns(self, conversation: str) -> list[Turn]:
        """All turns in the order of their first arrival. See ``Archive.turns``.

        Raises:
            ArchiveError: The database fails, or a turn in it is damaged.
        """
        check_conversation(conversation)
        query = sa.select(_turns.c.body).where(_turns.c.conversation == _key(conversation)).order_by(_turns.c.position)
        return [turn_from_text(body) for body in self._run(lambda connection: connection.scalars(query).all())]

    def saved_view(self, conversation: str) -> str | None:
        """The view saved last.

        Raises:
            ArchiveError: The database fails.
        """
        check_conversation(conversation)
        query = sa.select(_conversations.c.view).where(_conversations.c.id == _key(conversation))
        view = self._run(lambda connection: connection.scalar(query))
        return None if view is None else from_ascii(view)

    def conversations(self) -> list[str]:
        """The conversations that hold a turn, sorted.

        Raises:
            ArchiveError: The database fails.
        """
        query = sa.select(_conversations.c.name).where(_conversations.c.next > 0)
        return sorted(from_ascii(name) for name in self._run(lambda connection: connection.scalars(query).all()))

    def delete(self, conversation: str) -> None:
        """Forgets a conversation. See ``Archive.delete``.

        Raises:
            ArchiveError: The database fails; nothing was deleted.
        """
        check_conversation(conversation)
        self._run(lambda connection: _delete(connection, _key(conversation)), writes=True)

    def _run(self, work: Callable[[Connection], _Result], *, writes: bool = False) -> _Result:
        """One transaction; again where another process made the same new row at the same moment."""
        with self._connected() as engine:
            return _patiently(lambda: _transaction(engine, work, writes=writes), IntegrityError)

    @contextmanager
    def _connected(self) -> Iterator[Engine]:
        """The engine, for one call at a time; errors of the database become ArchiveErrors that name it."""
        with self._lock:
            try:
                if self._engine is None:
                    engine = _engine(self._url)
                    self._closer = weakref.finalize(self, engine.dispose)
                    _patiently(lambda: _prepare(engine, _place(self._url)), DBAPIError)
                    self._engine = engine
                yield self._engine
            except (SQLAlchemyError, sqlite3.Error, OSError, ModuleNotFoundError) as error:
                reason = getattr(error, "orig", None) or error  # without the statement, which holds the texts
                raise ArchiveError(
                    f"The archive {_place(self._url)} fails: {reason}.", hint=_hint(self._url)
                ) from error


def _url(url_or_path: str | os.PathLike[str]) -> sa.URL:
    if not isinstance(url_or_path, str | os.PathLike) or not os.fspath(url_or_path):
        raise InvalidInputError(f"The archive is {url_or_path!r}.", hint="Pass a path or a SQLAlchemy URL.")
    if isinstance(url_or_path, os.PathLike) or "://" not in url_or_path:
        return sa.URL.create("sqlite", database=str(Path(url_or_path).absolute()))
    try:
        url = make_url(url_or_path)
    except (ArgumentError, ValueError) as error:
        raise InvalidInputError(
            "The archive's URL cannot be read.", hint="Write it like sqlite:///chats.db or postgresql://host/name."
        ) from error
    if url.get_backend_name() != "sqlite":
        return url
    if url.database in {None, "", ":memory:"} or url.query.get("mode") == "memory":
        raise InvalidInputError(f"{url} is a database in memory.", hint="Name a file, or use MemoryArchive().")
    return url if str(url.database).startswith("file:") else url.set(database=str(Path(str(url.database)).absolute()))


def _place(url: sa.URL) -> str:
    """What a message calls the database: its file or its URL without the password."""
    return str(url.database) if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


def _hint(url: sa.URL) -> str:
    if url.get_backend_name() == "sqlite":
        return "It must be a SQLite file, or a new one, in a folder that is there and can be written."
    return "See that the server is up, its driver installed, and that this user may create tables."


def _engine(url: sa.URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, hide_parameters=True, pool_pre_ping=True)
    engine = sa.create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS})
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says, not where the driver guesses
    connection.execute("PRAGMA synchronous=FULL")
    until = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:  # where several open a new file at once, SQLite itself does not wait here
            if time.monotonic() > until or not _is_busy():
                raise
            time.sleep(0.01)


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("gist_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _transaction(engine: Engine, work: Callable[[Connection], _Result], *, writes: bool) -> _Result:
    with engine.connect().execution_options(gist_writes=writes) as connection, connection.begin():
        return work(connection)


def _patiently(work: Callable[[], _Result], passing: type[Exception]) -> _Result:
    """What ``work`` gives; errors that pass once somebody else's transaction is through are tried again."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return work()
        except passing:
            pass
    return work()


def _prepare(engine: Engine, place: str) -> None:
    """Makes the tables if they are not there.

    Raises:
        ArchiveError: They are of another format.
    """
    version = _transaction(engine, _version, writes=False)
    if version is None:
        version = _transaction(engine, _create, writes=True)
    if version != FORMAT:
        raise ArchiveError(
            f"The archive {place} has the format {version}; this version reads {FORMAT}.",
            hint="Upgrade gist-compressor, or name another file.",
        )


def _version(connection: Connection) -> int | None:
    if not sa.inspect(connection).has_table(_formats.name):
        return None
    return connection.scalar(sa.select(_formats.c.version))


def _create(connection: Connection) -> int:
    _metadata.create_all(connection)
    version = _version(connection)
    if version is None:
        connection.execute(sa.insert(_formats).values(id=1, version=FORMAT))
    return FORMAT if version is None else version


def _add(connection: Connection, conversation: str, rows: Sequence[_Row], view: str | None) -> None:
    key = _key(conversation)
    here = _conversations.c.id == key
    # Locked first, so that writers of one conversation come one after the other; SQLite has locked the file already.
    number = connection.scalar(sa.select(_conversations.c.next).where(here).with_for_update())
    if number is None:
        number = 0
        connection.execute(sa.insert(_conversations).values(id=key, name=to_ascii(conversation), next=0))
    known = _versions(connection, key, {row["turn"] for row in rows}, _turns.c.digest)
    new, moved, number = _sorted_out(rows, known, number)
    if new:
        connection.execute(sa.insert(_turns), [row | {"conversation": key} for row in new])
    for (turn, digest), arrival in moved.items():
        same = (_turns.c.conversation == key) & (_turns.c.turn == turn) & (_turns.c.digest == digest)
        connection.execute(sa.update(_turns).where(same).values(arrival=arrival))
    change = {"next": number} if view is None else {"next": number, "view": to_ascii(view)}
    connection.execute(sa.update(_conversations).where(here).values(change))


def _sorted_out(
    rows: Iterable[_Row], known: Iterable[_Row], number: int
) -> tuple[list[_Row], dict[tuple[str, str], int], int]:
    """Rows that are new, earlier versions that are the later ones again with their new arrival, and the next number."""
    versions: dict[str, dict[str, _Row]] = {}
    for row in known:
        versions.setdefault(row["turn"], {})[row["digest"]] = row
    new: list[_Row] = []
    moved: dict[tuple[str, str], int] = {}
    for row in rows:
        same = versions.setdefault(row["turn"], {})
        if row["digest"] not in same:
            same[row["digest"]] = row | {"position": number, "arrival": number}
            new.append(same[row["digest"]])
        elif same[row["digest"]]["arrival"] < max(version["arrival"] for version in same.values()):
            same[row["digest"]]["arrival"] = number
            moved[row["turn"], row["digest"]] = number
        else:
            continue
        number += 1
    return new, moved, number


def _versions(
    connection: Connection, conversation: str, turns: Iterable[str], column: sa.Column[Any]
) -> list[dict[str, Any]]:
    """``turn``, ``arrival`` and one more column of all versions of these turns, the later ones later."""
    wanted = sorted(turns)
    found: list[dict[str, Any]] = []
    for start in range(0, len(wanted), _AT_ONCE):
        query = (
            sa.select(_turns.c.turn, _turns.c.arrival, column)
            .where(_turns.c.conversation == conversation, _turns.c.turn.in_(wanted[start : start + _AT_ONCE]))
            .order_by(_turns.c.arrival)
        )
        found.extend(dict(row) for row in connection.execute(query).mappings())
    return found


def _delete(connection: Connection, conversation: str) -> None:
    here = _conversations.c.id == conversation
    connection.execute(sa.select(_conversations.c.next).where(here).with_for_update())
    connection.execute(sa.delete(_turns).where(_turns.c.conversation == conversation))
    connection.execute(sa.delete(_conversations).where(here))


def _key(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _nothing() -> None:
    """Nothing is open, so nothing is to be closed."""


# SQLite keeps its file locks by process: a child that forks while a connection is open believes to hold locks that it
# does not hold, and what it writes can be lost. So no connection is open, and none is being used, while a fork happens.
_living: weakref.WeakSet[SqlArchive] = weakref.WeakSet()
_forking = threading.Lock()
_held: list[SqlArchive] = []


def _before_fork() -> None:
    _forking.acquire()
    _held.extend(_living)
    for archive in _held:
        archive._lock.acquire()
        archive._let_go()


def _after_fork() -> None:
    for archive in _held:
        archive._lock.release()
    _held.clear()
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
