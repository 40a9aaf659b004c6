"""A SQL database that many threads and processes use: transactions that lose nothing, forks, errors that name it."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from gist_core.errors import ArchiveError, InvalidInputError, MissingExtraError

try:
    from sqlalchemy import create_engine, event
    from sqlalchemy.engine import URL, Connection, Engine, make_url
    from sqlalchemy.exc import ArgumentError, IntegrityError, ProgrammingError, SQLAlchemyError
except ModuleNotFoundError as error:
    raise MissingExtraError("SqlArchive needs SQLAlchemy.", hint='pip install "gist-compressor[memory]"') from error

_BUSY_SECONDS = 60.0  # how long a writer waits for another process before it gives up
_ATTEMPTS = 3
_WRITES = "gist_writes"

_Result = TypeVar("_Result")


class Database:
    """One database, opened at the first need and again after ``close``, a fork or an error at opening.

    Calls from several threads come one after the other.

    Args:
        url: Where it is.
        prepare: Runs in a transaction of its own before anything else, to make tables; it may be tried again.
    """

    def __init__(self, url: URL, prepare: Callable[[Connection], None]) -> None:
        self.url = url
        self._prepare = prepare
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._closer: Callable[[], object] = _nothing
        with _forking:
            _living.add(self)

    @property
    def place(self) -> str:
        """What messages call it: its file, or its URL without the password."""
        return str(self.url.database) if _is_sqlite(self.url) else self.url.render_as_string(hide_password=True)

    def run(self, work: Callable[[Connection], _Result], *, writes: bool = False) -> _Result:
        """What ``work`` gives, in one transaction: all of it is done or nothing.

        Args:
            work: Called again where another process made the same new row at the same moment.
            writes: In SQLite the transaction takes its turn among the writers before it reads.

        Raises:
            ArchiveError: The database cannot be opened, or fails.
        """
        with self._lock, self._failures_named():
            engine = self._opened()
            return _patiently(lambda: _transaction(engine, work, writes=writes))

    def close(self) -> None:
        """Lets go of the connection; a later call opens it again."""
        with self._lock:
            self.let_go()

    def let_go(self) -> None:
        """``close`` for those who hold the lock."""
        self._closer()
        self._engine, self._closer = None, _nothing

    def hold(self) -> None:
        """Waits for the call that is under way, keeps others waiting until ``release``, and lets go."""
        self._lock.acquire()
        self.let_go()

    def release(self) -> None:
        """Ends ``hold``."""
        self._lock.release()

    def _opened(self) -> Engine:
        if self._engine is None:
            self.let_go()  # of one whose preparation failed
            engine = _engine(self.url)
            self._closer = weakref.finalize(self, engine.dispose)
            _patiently(lambda: _transaction(engine, self._prepare, writes=True))
            self._engine = engine
        return self._engine

    @contextmanager
    def _failures_named(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError, ModuleNotFoundError) as error:
            reason = getattr(error, "orig", None) or error  # without the statement, which holds the texts
            raise ArchiveError(f"The archive {self.place} fails: {reason}.", hint=_hint(self.url)) from error


def database_url(url_or_path: object) -> URL:
    """A SQLAlchemy URL as it is, a path as that of a SQLite file. Files are made absolute.

    Raises:
        InvalidInputError: It is neither, or names a database in memory, which each thread would have for itself.
    """
    if not isinstance(url_or_path, str | os.PathLike) or not os.fspath(url_or_path):
        raise InvalidInputError(f"The archive is {url_or_path!r}.", hint="Pass a path or a SQLAlchemy URL.")
    if isinstance(url_or_path, os.PathLike) or "://" not in url_or_path:
        return URL.create("sqlite", database=_absolute(os.fspath(url_or_path)))
    try:
        url = make_url(url_or_path)
    except (ArgumentError, ValueError) as error:
        raise InvalidInputError(
            "The archive's URL cannot be read.", hint="Write it like sqlite:///chats.db or postgresql://host/name."
        ) from error
    if not _is_sqlite(url):
        return url
    if url.database in {None, "", ":memory:"} or url.query.get("mode") == "memory":
        raise InvalidInputError(f"{url} is a database in memory.", hint="Name a file, or use MemoryArchive().")
    return url if str(url.database).startswith("file:") else url.set(database=_absolute(str(url.database)))


def _absolute(path: str) -> str:
    """A process that unpickles an archive may stand in another folder."""
    return str(Path(path).absolute())


def _is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _hint(url: URL) -> str:
    if _is_sqlite(url):
        return "See that it is a SQLite file, or a new one, in a folder that is there and can be written."
    return "See that the server is up, its driver installed, and that this user may create tables."


def _engine(url: URL) -> Engine:
    if not _is_sqlite(url):
        return create_engine(url, hide_parameters=True, pool_pre_ping=True)
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": _BUSY_SECONDS})
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
        except sqlite3.OperationalError as error:
            # Where several open a new file at once, SQLite says "busy" here without waiting.
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _transaction(engine: Engine, work: Callable[[Connection], _Result], *, writes: bool) -> _Result:
    with engine.connect().execution_options(**{_WRITES: writes}) as connection, connection.begin():
        return work(connection)


def _patiently(work: Callable[[], _Result]) -> _Result:
    """What ``work`` gives, tried again where somebody made the same row or table at the same moment."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return work()
        except (IntegrityError, ProgrammingError):
            pass
    return work()


def _nothing() -> None:
    """Nothing is open, so nothing is to be closed."""


# SQLite keeps its file locks by process: a child forked while a connection is open believes to hold locks that it
# does not hold, and what it writes can be lost. So no connection is open, and none in use, while a fork happens.
_living: weakref.WeakSet[Database] = weakref.WeakSet()
_forking = threading.Lock()
_waiting: list[Database] = []


def _before_fork() -> None:
    _forking.acquire()
    _waiting.extend(_living)
    for database in _waiting:
        database.hold()


def _after_fork() -> None:
    for database in _waiting:
        database.release()
    _waiting.clear()
    _forking.release()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
