"""What only an archive in a SQL database promises: processes, kills, forks, files that are none."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.schema import CreateTable

from gist_core.errors import ArchiveError, InvalidInputError, MissingExtraError
from gist_core.memory import ConversationCompactor, MemoryPolicy, Turn, statements
from gist_core.memory.sql import SqlArchive
from tests.helpers.archives import batch

ROOT = Path(__file__).parents[2]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def started(function: str, *arguments: str, **pipes: object) -> subprocess.Popen[str]:
    code = f"import sys; from tests.helpers.archives import {function}; {function}(*sys.argv[1:])"
    paths = os.pathsep.join([str(ROOT), str(ROOT / "core")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], env=environment, cwd=ROOT, text=True, start_new_session=True, **pipes
    )


def exit_code(process: subprocess.Popen[str]) -> int:
    """Waits for it; one that hangs is ended, with what it started."""
    try:
        return process.wait(timeout=120)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def is_sound(path: Path) -> bool:
    connection = sqlite3.connect(path)
    found = connection.execute("PRAGMA integrity_check").fetchall()
    connection.close()
    return found == [("ok",)]


def say(text: str, name: str = "a") -> list[Turn]:
    return [Turn("user", text, id=name)]


class Nursery:
    """Writers that are born and killed one after the other."""

    def __init__(self) -> None:
        self._process = started("nursery", stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def write_until_killed(self, path: Path, conversation: str, batches: int, seconds: float) -> int:
        """Kills it so long after it reported so many batches; gives the number of the last one reported, -1 if none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{path}\t{conversation}\n")
        self._process.stdin.flush()
        writer = int(self._process.stdout.readline().removeprefix("pid "))
        reported = -1
        while reported < batches - 1:
            reported = int(self._process.stdout.readline())
        time.sleep(seconds)
        os.kill(writer, signal.SIGKILL)
        while (line := self._process.stdout.readline()) != "dead\n":
            reported = int(line)
        return reported

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        assert exit_code(self._process) == 0


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    nursery = Nursery()
    yield nursery
    nursery.close()


def check_whole(archive: SqlArchive, conversation: str, reported: int) -> None:
    """Checks that whole batches are there, all that were reported and at most one more."""
    found = archive.turns(conversation)
    last = max((int(turn.id.split("-")[0]) for turn in found if "-" in turn.id), default=-1)
    assert last in {reported, reported + 1}
    arrived = {(turn.id, turn.digest): turn for number in range(last + 1) for turn in batch(number)}
    assert found == list(arrived.values())
    if last < 0:
        assert archive.saved_view(conversation) is None
    else:
        assert archive.saved_view(conversation) == f"view {last}"
        ids = [turn.id for turn in batch(last)]
        assert archive.get(conversation, ids) == batch(last)


@needs_fork
@pytest.mark.slow
def test_a_hundred_kills_lose_nothing(nursery, tmp_path):
    chance = random.Random(9)
    reported: dict[tuple[Path, str], int] = {}
    for kill in range(100):
        path = tmp_path / f"{kill // 5}.db"  # the first kill of each file may hit its making
        conversation = f"kill {kill}"
        batches, seconds = chance.randrange(8), chance.uniform(0, 0.02)  # none: also while it opens the file
        reported[path, conversation] = nursery.write_until_killed(path, conversation, batches, seconds)
        with SqlArchive(path) as archive:
            check_whole(archive, conversation, reported[path, conversation])
        assert is_sound(path)
    for (path, conversation), number in reported.items():
        with SqlArchive(path) as archive:
            check_whole(archive, conversation, number)


@needs_fork
@pytest.mark.slow
def test_a_kill_does_not_hurt_those_who_are_writing_too(nursery, tmp_path):
    path = tmp_path / "chats.db"
    other = started("write_as", str(path), "other", "150")
    kills = 0
    while other.poll() is None:
        reported = nursery.write_until_killed(path, f"kill {kills}", 2, 0.005)
        with SqlArchive(path) as archive:
            check_whole(archive, f"kill {kills}", reported)
        kills += 1
    assert exit_code(other) == 0
    with SqlArchive(path) as archive:
        assert [turn.id for turn in archive.turns("chat")] == [f"other-{n}" for n in range(150)]
    assert is_sound(path)


@pytest.mark.slow
def test_processes_that_open_a_new_file_at_once_lose_nothing(tmp_path):
    path = tmp_path / "chats.db"
    writers = [started("write_as", str(path), f"writer {number}", "100") for number in range(2)]
    assert [exit_code(writer) for writer in writers] == [0, 0]
    with SqlArchive(path) as archive:
        found = archive.turns("chat")
        assert len(found) == 200
        for number in range(2):
            own = [turn.id for turn in found if turn.id.startswith(f"writer {number}-")]
            assert own == [f"writer {number}-{n}" for n in range(100)]
        assert archive.saved_view("chat") in {"by writer 0", "by writer 1"}
    assert is_sound(path)


@needs_fork
@pytest.mark.slow
def test_processes_that_open_a_new_file_at_the_same_moment_all_work(tmp_path):
    assert exit_code(started("open_at_once", str(tmp_path), "6", "6")) == 0
    for file in range(6):
        with SqlArchive(tmp_path / f"{file}.db") as archive:
            assert sorted(turn.id for turn in archive.turns("chat")) == list("012345")


def test_opening_waits_for_another_who_writes_at_that_moment(tmp_path):
    """SQLite's own waiting does not cover this: the file is not in write-ahead mode yet and somebody writes to it."""
    other = sqlite3.connect(tmp_path / "chats.db", isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE theirs(x)")
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO theirs VALUES (1)")
    done = threading.Timer(0.2, other.commit)
    done.start()
    with SqlArchive(tmp_path / "chats.db") as archive:
        archive.add("chat", say("one"))
        assert archive.turns("chat") == say("one")
    done.join()
    assert other.execute("SELECT x FROM theirs").fetchall() == [(1,)]
    other.close()


@needs_fork
def test_forks_while_the_archive_is_open_and_in_use_lose_nothing(tmp_path):
    path = tmp_path / "chats.db"
    assert exit_code(started("fork_while_writing", str(path), "8")) == 0
    with SqlArchive(path) as archive:
        ids = {turn.id for turn in archive.turns("chat")}
        written = [int(turn.id) for turn in archive.turns("thread")]
    children = {f"child {child}-{number}" for child in range(8) for number in range(5)}
    assert ids == {"first"} | children | {f"parent-{number}" for number in range(8)}
    assert written == list(range(len(written)))
    assert is_sound(path)


def test_what_was_added_is_there_after_opening_again(tmp_path):
    with SqlArchive(tmp_path / "chats.db") as archive:
        archive.add("chat", say("one"), "view")
    with SqlArchive(str(tmp_path / "chats.db")) as archive:
        assert archive.turns("chat") == say("one")
        assert archive.saved_view("chat") == "view"


def test_a_call_after_close_opens_again(tmp_path):
    archive = SqlArchive(tmp_path / "chats.db")
    archive.add("chat", say("one"))
    archive.close()
    archive.close()
    assert not (tmp_path / "chats.db-wal").exists()
    assert archive.turns("chat") == say("one")
    archive.close()


def test_an_archive_that_is_forgotten_closes_its_file(tmp_path):
    archive = SqlArchive(tmp_path / "chats.db")
    archive.add("chat", say("one"))
    assert (tmp_path / "chats.db-wal").exists()
    del archive
    assert not (tmp_path / "chats.db-wal").exists()


def test_an_archive_can_be_pickled_and_its_path_stays_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with SqlArchive("chats.db") as archive:
        archive.add("chat", say("one"))
        data = pickle.dumps(archive)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    with pickle.loads(data) as again:
        assert again.turns("chat") == say("one")
        again.add("chat", say("two", "b"))
    assert not list((tmp_path / "other").iterdir())
    assert archive.get("chat", ["b"]) == say("two", "b")
    archive.close()


@pytest.mark.parametrize("name", ["a b.db", "a?b#c%20d.db", "chats;é東.db", "no-suffix"])
def test_paths_and_urls_name_the_same_file(tmp_path, name):
    path = tmp_path / name
    with SqlArchive(path) as archive:
        archive.add("chat", say("one"))
        assert str(path) in repr(archive)
    assert path.is_file()
    with SqlArchive(str(path)) as archive:
        assert archive.turns("chat") == say("one")


def test_a_url_names_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for url in (f"sqlite:///{tmp_path}/chats.db", "sqlite:///chats.db", "sqlite+pysqlite:///chats.db"):
        with SqlArchive(url) as archive:
            archive.add("chat", say("one"))
            assert archive.turns("chat") == say("one")
    assert [path.name for path in tmp_path.iterdir()] == ["chats.db"]


@pytest.mark.parametrize(
    "bad", ["", None, 3, "://", "sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"]
)
def test_what_names_no_file_is_refused(bad):
    with pytest.raises(InvalidInputError):
        SqlArchive(bad)


def test_every_write_goes_to_the_disk(tmp_path):
    with SqlArchive(tmp_path / "chats.db") as archive:
        run = archive._database.run
        assert run(lambda c: c.exec_driver_sql("PRAGMA synchronous").scalar()) == 2  # FULL
        assert run(lambda c: c.exec_driver_sql("PRAGMA journal_mode").scalar()) == "wal"


def test_a_failure_in_the_middle_of_a_write_leaves_nothing(tmp_path):
    with SqlArchive(tmp_path / "chats.db") as archive:
        archive.add("chat", say("one"), "view 1")
        when = "BEFORE INSERT ON gist_turns WHEN NEW.position = 2"
        trigger = f"CREATE TRIGGER fail {when} BEGIN SELECT RAISE(ABORT, 'full'); END"
        archive._database.run(lambda c: c.exec_driver_sql(trigger), writes=True)
        with pytest.raises(ArchiveError, match="full"):
            archive.add("chat", [*say("two", "b"), *say("three", "c")], "view 2")
        assert archive.turns("chat") == say("one")
        assert archive.saved_view("chat") == "view 1"
        archive._database.run(lambda c: c.exec_driver_sql("DROP TRIGGER fail"), writes=True)
        archive.add("chat", [*say("two", "b"), *say("three", "c")], "view 2")
        assert len(archive.turns("chat")) == 3


def test_messages_do_not_tell_what_was_said(tmp_path):
    with SqlArchive(tmp_path / "chats.db") as archive:
        archive._database.run(lambda c: c.exec_driver_sql("DROP TABLE gist_turns"), writes=True)
        with pytest.raises(ArchiveError, match=r"chats\.db.*gist_turns") as caught:
            archive.add("chat", say("my secret"))
    assert "secret" not in str(caught.value) + str(caught.value.__cause__)


class TestUnusableFiles:
    def test_a_file_that_is_no_database(self, tmp_path):
        path = tmp_path / "notes.txt"
        path.write_text("These are notes. " * 100)
        with pytest.raises(ArchiveError, match=r"notes\.txt"):
            SqlArchive(path)
        assert path.read_text() == "These are notes. " * 100

    def test_a_folder_and_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(ArchiveError, match=str(tmp_path)):
            SqlArchive(tmp_path)
        with pytest.raises(ArchiveError, match="missing"):
            SqlArchive(tmp_path / "missing" / "chats.db")
        (tmp_path / "file").write_text("")
        with pytest.raises(ArchiveError, match="file"):
            SqlArchive(tmp_path / "file" / "chats.db")

    @pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder in which not even root can write")
    def test_a_folder_that_cannot_be_written(self):
        with pytest.raises(ArchiveError, match=r"/proc/chats\.db"):
            SqlArchive("/proc/chats.db")

    def test_a_format_that_is_not_known(self, tmp_path):
        path = tmp_path / "chats.db"
        SqlArchive(path).close()
        connection = sqlite3.connect(path)
        connection.execute("UPDATE gist_format SET version = 2")
        connection.commit()
        connection.close()
        with pytest.raises(ArchiveError, match=r"chats\.db has the format 2; this version reads 1.*Upgrade"):
            SqlArchive(path)

    def test_a_damaged_turn(self, tmp_path):
        with SqlArchive(tmp_path / "chats.db") as archive:
            archive.add("chat", say("one"))
            for body in ("{", "[]", "é", "\\x"):
                change = sa.text("UPDATE gist_turns SET body = :body").bindparams(body=body)
                archive._database.run(lambda c, change=change: c.execute(change), writes=True)
                with pytest.raises(ArchiveError, match="damaged"):
                    archive.turns("chat")
                with pytest.raises(ArchiveError, match="damaged"):
                    archive.get("chat", ["a"])

    def test_a_server_that_cannot_be_reached_keeps_its_password_to_itself(self):
        with pytest.raises(ArchiveError, match=r"\*\*\*@host") as caught:
            SqlArchive("nosuchserver://user:secret@host/chats")
        assert "secret" not in str(caught.value)

    def test_an_archive_made_usable_works(self, tmp_path):
        """What failed at opening is tried again at the next call."""
        data = b""
        with SqlArchive(tmp_path / "chats.db") as archive:
            data = pickle.dumps(archive)
        (tmp_path / "chats.db").write_text("no database " * 1000)
        again = pickle.loads(data)
        with pytest.raises(ArchiveError):
            again.turns("chat")
        (tmp_path / "chats.db").unlink()
        assert again.turns("chat") == []
        again.close()


def test_without_sqlalchemy_the_extra_is_named():
    code = "import sys; sys.modules['sqlalchemy'] = None\nimport gist_core.memory.sql"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT / "core")
    assert run.returncode == 1
    assert f"{MissingExtraError.__name__}: " in run.stderr
    assert 'pip install "gist-compressor[memory]"' in run.stderr


def test_importing_it_is_light():
    code = "import sys, gist_core.memory.sql; print({'torch', 'transformers', 'langgraph'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "core")
    assert run.stdout.strip() == "set()"


def test_other_databases_can_hold_long_texts():
    texts = {
        dialect: str(CreateTable(statements._turns).compile(dialect=dialect.dialect()))
        for dialect in (mysql, postgresql)
    }
    assert "body LONGTEXT" in texts[mysql]
    assert "body TEXT" in texts[postgresql]


def test_a_conversation_goes_on_from_the_file(tmp_path):
    policy = MemoryPolicy(high_water=100_000)
    with SqlArchive(tmp_path / "chats.db") as archive:
        ConversationCompactor(policy, archive=archive, conversation="c").append(*say("My number is 4711."))
    with SqlArchive(tmp_path / "chats.db") as archive:
        again = ConversationCompactor(policy, archive=archive, conversation="c")
        assert [turn.content for turn in again.view().turns] == ["My number is 4711."]
