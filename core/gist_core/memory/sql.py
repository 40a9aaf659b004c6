"""An archive in a SQL database: a SQLite file, or any other that SQLAlchemy speaks to. Needs the extra ``memory``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from gist_core.memory.archive import (
    check_addition,
    check_conversation,
    check_ids,
    turn_from_text,
    turn_to_text,
    turns_of,
)
from gist_core.memory.database import Database, database_url
from gist_core.memory.statements import (
    Entry,
    add_entries,
    all_bodies,
    bodies_of,
    conversation_names,
    delete_conversation,
    prepare,
    view_of,
)
from gist_core.memory.turns import Turn


class SqlArchive:
    """An ``Archive`` in a SQL database, safe to share between threads and processes.

    In a SQLite file an ``add`` that has returned is on the disk (write-ahead log, ``synchronous=FULL``); one that was
    cut off leaves nothing behind. Any number of processes may use one file. An archive can be pickled, and a process
    can fork while it is open: the connection is closed before and opened again when it is next needed.

    Args:
        url_or_path: A path is a SQLite file, which is created if it is not there, its folder is not; anything with
            ``://`` is a SQLAlchemy URL.

    Raises:
        InvalidInputError: It is neither, or names a database in memory.
        ArchiveError: The database cannot be opened, or holds a format that this version does not know.
    """

    def __init__(self, url_or_path: str | os.PathLike[str]) -> None:
        self._database = Database(database_url(url_or_path), prepare)
        self._database.run(lambda _: None)

    def __getstate__(self) -> str:
        return self._database.url.render_as_string(hide_password=False)

    def __setstate__(self, url: str) -> None:
        self._database = Database(database_url(url), prepare)

    def __enter__(self) -> SqlArchive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SqlArchive({self._database.place!r})"

    def close(self) -> None:
        """Lets go of the connection; a later call opens it again."""
        self._database.close()

    def add(self, conversation: str, turns: Sequence[Turn], view: str | None = None) -> None:
        """Appends turns and replaces the view in one transaction. See ``Archive.add``.

        Raises:
            InvalidInputError: The conversation is no name, a turn has no id, is a gist or cannot be written as JSON.
            ArchiveError: The database fails; nothing was added.
        """
        check_addition(conversation, turns, view)
        bodies = [turn_to_text(turn) for turn in turns]
        entries = [Entry(turn.id, turn.digest, body) for turn, body in zip(turns, bodies, strict=True)]
        if entries or view is not None:
            self._database.run(lambda c: add_entries(c, conversation, entries, view), writes=True)

    def get(self, conversation: str, ids: Sequence[str]) -> list[Turn]:
        """The turns of these ids. See ``Archive.get``.

        Raises:
            InvalidInputError: One is not there; the message names it.
            ArchiveError: The database fails, or a turn in it is damaged.
        """
        check_ids(conversation, ids)
        return turns_of(conversation, ids, self._database.run(lambda c: bodies_of(c, conversation, ids)))

    def turns(self, conversation: str) -> list[Turn]:
        """All turns in the order of their first arrival. See ``Archive.turns``.

        Raises:
            ArchiveError: The database fails, or a turn in it is damaged.
        """
        check_conversation(conversation)
        return [turn_from_text(body) for body in self._database.run(lambda c: all_bodies(c, conversation))]

    def saved_view(self, conversation: str) -> str | None:
        """The view saved last.

        Raises:
            ArchiveError: The database fails.
        """
        check_conversation(conversation)
        return self._database.run(lambda c: view_of(c, conversation))

    def conversations(self) -> list[str]:
        """The conversations that hold a turn, sorted.

        Raises:
            ArchiveError: The database fails.
        """
        return sorted(self._database.run(conversation_names))

    def delete(self, conversation: str) -> None:
        """Forgets a conversation. See ``Archive.delete``.

        Raises:
            ArchiveError: The database fails; nothing was deleted.
        """
        check_conversation(conversation)
        self._database.run(lambda c: delete_conversation(c, conversation), writes=True)
