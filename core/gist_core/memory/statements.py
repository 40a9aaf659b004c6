"""The tables of a ``SqlArchive`` and what is said to them. Needs SQLAlchemy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import LONGTEXT
from sqlalchemy.engine import Connection

from gist_core.errors import ArchiveError
from gist_core.memory.archive import from_ascii, to_ascii

FORMAT = 1
_AT_ONCE = 500  # ids in one statement; old SQLite takes 999 parameters

_metadata = sa.MetaData()
_text = sa.Text().with_variant(LONGTEXT(), "mysql", "mariadb")
_formats = sa.Table(
    "gist_format",
    _metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
)
# Names are looked up by their hashes: an index takes no text of any length, nor lone surrogates.
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
    sa.Column("arrival", sa.Integer, nullable=False),  # of two turns with one id, the higher is the later one
    sa.Column("turn", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("body", _text, nullable=False),
    sa.UniqueConstraint("conversation", "turn", "digest"),
)


class Entry(NamedTuple):
    """A turn to be added: its id, its digest, and itself as ``turn_to_text`` wrote it."""

    id: str
    digest: str
    body: str


def prepare(connection: Connection) -> None:
    """Makes the tables if they are not there.

    Raises:
        ArchiveError: They are there in another format.
    """
    _metadata.create_all(connection)
    version = connection.scalar(sa.select(_formats.c.version))
    if version is None:
        connection.execute(sa.insert(_formats).values(id=1, version=FORMAT))
    elif version != FORMAT:
        raise ArchiveError(
            f"The archive {connection.engine.url.database} has the format {version}; this version reads {FORMAT}.",
            hint="Upgrade gist-compressor, or name another file.",
        )


def add_entries(connection: Connection, conversation: str, entries: Sequence[Entry], view: str | None) -> None:
    """Adds what is not there yet, and sets the view if one is given."""
    key = _key(conversation)
    here = _conversations.c.id == key
    # Locked first, so that writers of one conversation come one after the other; SQLite has locked the file already.
    number = connection.scalar(sa.select(_conversations.c.next).where(here).with_for_update())
    if number is None:
        number = 0
        connection.execute(sa.insert(_conversations).values(id=key, name=to_ascii(conversation), next=number))
    new, again = _sorted_out(entries, _arrivals(connection, key, entries), number)
    if new:
        rows = [
            {"conversation": key, "position": n, "arrival": n, "turn": _key(e.id), "digest": e.digest, "body": e.body}
            for n, e in new.items()
        ]
        connection.execute(sa.insert(_turns), rows)
    for arrival, entry in again.items():
        same = (_turns.c.conversation == key, _turns.c.turn == _key(entry.id), _turns.c.digest == entry.digest)
        connection.execute(sa.update(_turns).where(*same).values(arrival=arrival))
    change = {"next": number + len(new) + len(again)} | ({} if view is None else {"view": to_ascii(view)})
    connection.execute(sa.update(_conversations).where(here).values(change))


def bodies_of(connection: Connection, conversation: str, ids: Sequence[str]) -> dict[str, str]:
    """The latest version of each of these turns that is there."""
    names = {_key(name): name for name in ids}
    found: dict[str, str] = {}
    for some in _some(names):
        query = (
            sa.select(_turns.c.turn, _turns.c.body)
            .where(_turns.c.conversation == _key(conversation), _turns.c.turn.in_(some))
            .order_by(_turns.c.arrival)
        )
        found.update((names[turn], body) for turn, body in connection.execute(query))
    return found


def all_bodies(connection: Connection, conversation: str) -> Sequence[str]:
    """All turns in the order of their first arrival."""
    query = sa.select(_turns.c.body).where(_turns.c.conversation == _key(conversation)).order_by(_turns.c.position)
    return connection.scalars(query).all()


def view_of(connection: Connection, conversation: str) -> str | None:
    """The view saved last."""
    found = connection.scalar(sa.select(_conversations.c.view).where(_conversations.c.id == _key(conversation)))
    return None if found is None else from_ascii(found)


def conversation_names(connection: Connection) -> list[str]:
    """The names of those that hold a turn."""
    query = sa.select(_conversations.c.name).where(_conversations.c.next > 0)
    return [from_ascii(name) for name in connection.scalars(query)]


def delete_conversation(connection: Connection, conversation: str) -> None:
    """Deletes a conversation and its turns."""
    here = _conversations.c.id == _key(conversation)
    connection.execute(sa.select(_conversations.c.next).where(here).with_for_update())
    connection.execute(sa.delete(_turns).where(_turns.c.conversation == _key(conversation)))
    connection.execute(sa.delete(_conversations).where(here))


def _arrivals(connection: Connection, key: str, entries: Iterable[Entry]) -> dict[str, dict[str, int]]:
    """When each version of these turns arrived last: by id, then by digest."""
    names = {_key(entry.id): entry.id for entry in entries}
    found: dict[str, dict[str, int]] = {}
    for some in _some(names):
        query = sa.select(_turns.c.turn, _turns.c.digest, _turns.c.arrival).where(
            _turns.c.conversation == key, _turns.c.turn.in_(some)
        )
        for turn, digest, arrival in connection.execute(query):
            found.setdefault(names[turn], {})[digest] = arrival
    return found


def _sorted_out(
    entries: Iterable[Entry], arrivals: dict[str, dict[str, int]], number: int
) -> tuple[dict[int, Entry], dict[int, Entry]]:
    """What is new, and what was overtaken by another version and has come again; by number of arrival."""
    new: dict[int, Entry] = {}
    again: dict[int, Entry] = {}
    for entry in entries:
        versions = arrivals.setdefault(entry.id, {})
        if entry.digest in versions and versions[entry.digest] == max(versions.values()):
            continue
        (again if entry.digest in versions else new)[number] = entry
        versions[entry.digest] = number
        number += 1
    return new, again


def _some(keys: Iterable[str]) -> Iterable[list[str]]:
    every = sorted(keys)
    return (every[start : start + _AT_ONCE] for start in range(0, len(every), _AT_ONCE))


def _key(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
