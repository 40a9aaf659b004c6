"""What every archive promises: in memory, in a SQLite file, in a LangGraph store."""

from __future__ import annotations

import contextlib
import json
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langgraph.store.memory import InMemoryStore

from gist_core.errors import InvalidInputError
from gist_core.memory import Archive, MemoryArchive, ToolCall, Turn, turn_to_json
from gist_core.memory.gist import Gist
from gist_core.memory.sql import SqlArchive
from langchain_gist.memory.store import StoreArchive
from tests.helpers.archives import HARD_TEXTS, TEXTS, add_numbered, turns

QUICK = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@contextlib.contextmanager
def new_archive(kind: str) -> Iterator[Archive]:
    if kind == "memory":
        yield MemoryArchive()
    elif kind == "store":
        yield StoreArchive(InMemoryStore())
    else:
        with tempfile.TemporaryDirectory() as folder, SqlArchive(Path(folder) / "chats.db") as archive:
            yield archive


@pytest.fixture(params=["memory", "sql", "store"])
def kind(request) -> str:
    return request.param


@pytest.fixture
def archive(kind) -> Iterator[Archive]:
    with new_archive(kind) as archive:
        yield archive


def said(text: str, name: str) -> Turn:
    return Turn("user", text, id=name)


def as_json(found: list[Turn]) -> list[object]:
    return [turn_to_json(turn) for turn in found]


def a_gist() -> Turn:
    fields = dict.fromkeys(Gist.__dataclass_fields__, ())
    return Turn("user", "> a", id="gist-1", gist=Gist(**fields | {"id": "gist-1", "text": "> a"}))


class Model:
    """What an archive is to do, in the plainest words."""

    def __init__(self) -> None:
        self.arrived: list[Turn] = []
        self.latest: dict[str, Turn] = {}
        self.view: str | None = None

    def add(self, new: list[Turn], view: str | None) -> None:
        for turn in new:
            same = [t for t in self.arrived if (t.id, t.digest) == (turn.id, turn.digest)]
            self.arrived += [] if same else [turn]
            self.latest[turn.id] = same[0] if same else turn
        self.view = self.view if view is None else view


class TestArchive:
    def test_is_an_archive(self, archive):
        assert isinstance(archive, Archive)

    def test_turns_come_back_in_the_order_they_came(self, archive):
        archive.add("chat", [said("one", "b"), said("two", "a")])
        archive.add("chat", [said("three", "c")])
        assert [turn.content for turn in archive.turns("chat")] == ["one", "two", "three"]
        assert [turn.content for turn in archive.get("chat", ["c", "b", "c"])] == ["three", "one", "three"]
        assert archive.get("chat", []) == []

    def test_a_turn_of_every_field_comes_back_equal(self, archive):
        turn = Turn(
            "assistant",
            "text",
            id="a",
            name="Ann",
            tool_calls=(ToolCall("call-1", "search", '{"q": 1}'),),
            tool_call_id="t",
            pinned=True,
            opaque=("image",),
            opaque_tokens=7,
            extra={"parts": [{"x": [1, None, 2.5]}]},
        )
        archive.add("chat", [turn])
        assert archive.get("chat", ["a"]) == archive.turns("chat") == [turn]

    def test_the_same_turn_is_stored_once(self, archive):
        archive.add("chat", [said("one", "a"), said("one", "a")])
        archive.add("chat", [said("one", "a"), said("two", "b")])
        assert [turn.content for turn in archive.turns("chat")] == ["one", "two"]

    def test_another_version_is_stored_beside_and_the_later_one_is_given(self, archive):
        archive.add("chat", [said("one", "a"), said("two", "b")])
        archive.add("chat", [said("one!", "a")])
        assert [turn.content for turn in archive.turns("chat")] == ["one", "two", "one!"]
        assert archive.get("chat", ["a"])[0].content == "one!"

    def test_a_version_that_comes_again_is_the_later_one(self, archive):
        archive.add("chat", [said("one", "a"), said("one!", "a"), said("one", "a")])
        assert archive.get("chat", ["a"])[0].content == "one"
        archive.add("chat", [said("one!", "a")])
        assert archive.get("chat", ["a"])[0].content == "one!"
        archive.add("chat", [said("one", "a"), said("two", "b")])
        assert archive.get("chat", ["a"])[0].content == "one"
        assert [turn.content for turn in archive.turns("chat")] == ["one", "one!", "two"]

    def test_the_view_is_replaced_only_where_one_is_given(self, archive):
        assert archive.saved_view("chat") is None
        archive.add("chat", [said("one", "a")], "first")
        archive.add("chat", [said("two", "b")])
        assert archive.saved_view("chat") == "first"
        archive.add("chat", [], "second")
        assert archive.saved_view("chat") == "second"
        archive.add("chat", [], "")
        assert archive.saved_view("chat") == ""

    def test_conversations_are_those_that_hold_a_turn(self, archive):
        for name in ["b", "a.b", "\ud800", "é\0", "A" * 5000]:
            archive.add(name, [said("one", "a")])
        archive.add("empty", [])
        archive.add("only a view", [], "view")
        assert archive.conversations() == sorted(["b", "a.b", "\ud800", "é\0", "A" * 5000])
        assert archive.turns("nobody") == archive.turns("only a view") == []

    def test_conversations_are_apart(self, archive):
        archive.add("a", [said("in a", "1")], "view a")
        archive.add("b", [said("in b", "1")], "view b")
        assert archive.get("a", ["1"])[0].content == "in a"
        archive.delete("a")
        assert archive.turns("a") == []
        assert archive.saved_view("a") is None
        assert archive.conversations() == ["b"]
        assert archive.get("b", ["1"])[0].content == archive.turns("b")[0].content == "in b"
        assert archive.saved_view("b") == "view b"

    def test_a_deleted_conversation_begins_anew(self, archive):
        archive.delete("chat")
        archive.add("chat", [said("one", "a"), said("two", "b")], "view")
        archive.delete("chat")
        with pytest.raises(InvalidInputError, match="'a'"):
            archive.get("chat", ["a"])
        archive.add("chat", [said("two", "b")])
        assert [turn.content for turn in archive.turns("chat")] == ["two"]

    def test_an_id_that_is_not_there_is_named(self, archive):
        archive.add("chat", [said("one", "a")])
        with pytest.raises(InvalidInputError, match=r"'nope'.*'chat'"):
            archive.get("chat", ["a", "nope"])
        with pytest.raises(InvalidInputError, match="'a'"):
            archive.get("other", ["a"])

    @pytest.mark.parametrize("bad", ["", None, 3, b"chat"])
    def test_a_conversation_is_a_name(self, archive, bad):
        for call in (archive.turns, archive.saved_view, archive.delete):
            with pytest.raises(InvalidInputError, match="conversation"):
                call(bad)
        with pytest.raises(InvalidInputError, match="conversation"):
            archive.add(bad, [])
        with pytest.raises(InvalidInputError, match="conversation"):
            archive.get(bad, [])

    @pytest.mark.parametrize(
        ("bad", "named"),
        [
            (a_gist(), "gist-1"),
            (Turn("user", "no id"), r"turns\[1\]"),
            ("text", r"turns\[1\]"),
            (Turn("user", "a", id="odd", extra={"x": object()}), "odd"),
            (Turn("user", "a", id="odd", extra={"x": b""}, opaque=("image",)), "odd"),
        ],
    )
    def test_of_a_batch_with_a_bad_turn_nothing_is_added(self, archive, bad, named):
        with pytest.raises(InvalidInputError, match=named):
            archive.add("chat", [said("one", "a"), bad], "view")
        assert archive.turns("chat") == []
        assert archive.saved_view("chat") is None

    def test_arguments_of_other_types_are_refused(self, archive):
        with pytest.raises(InvalidInputError, match="view"):
            archive.add("chat", [], {"a": 1})
        with pytest.raises(InvalidInputError, match="turns"):
            archive.add("chat", said("one", "a"))
        for ids in ("abc", [1], None):
            with pytest.raises(InvalidInputError, match="ids"):
                archive.get("chat", ids)

    def test_what_is_given_and_given_out_cannot_alter_what_is_kept(self, archive):
        extra = {"list": [1]}
        archive.add("chat", [Turn("user", "one", id="a", extra=extra)])
        extra["list"].append(2)
        for found in (archive.get("chat", ["a"]), archive.turns("chat")):
            found[0].extra["list"].append(3)
        assert archive.get("chat", ["a"])[0].extra == archive.turns("chat")[0].extra == {"list": [1]}

    @pytest.mark.parametrize("text", HARD_TEXTS, ids=range(len(HARD_TEXTS)))
    def test_hard_texts_come_back(self, archive, text):
        turn = Turn("user", text, id="id" + text, name=text, extra={"x" + text[:9]: text})
        archive.add("chat" + text, [turn], text)
        assert archive.get("chat" + text, ["id" + text]) == archive.turns("chat" + text) == [turn]
        assert archive.saved_view("chat" + text) == text
        assert archive.conversations() == ["chat" + text]

    @QUICK
    @given(new=st.lists(turns(), max_size=4), conversation=TEXTS.filter(bool), view=st.none() | TEXTS)
    def test_any_text_comes_back(self, kind, new, conversation, view):
        model = Model()
        model.add(new, view)
        with new_archive(kind) as archive:
            archive.add(conversation, new, view)
            assert archive.turns(conversation) == model.arrived
            assert archive.get(conversation, list(model.latest)) == list(model.latest.values())
            assert as_json(archive.turns(conversation)) == as_json(model.arrived)
            assert archive.saved_view(conversation) == view
            assert archive.conversations() == ([conversation] if new else [])

    @QUICK
    @given(
        adds=st.lists(
            st.tuples(
                st.lists(st.builds(said, st.sampled_from("xyz"), st.sampled_from("abc")), max_size=6),
                st.none() | st.sampled_from("vw"),
            ),
            max_size=8,
        )
    )
    def test_versions_of_turns_follow_the_model(self, kind, adds):
        model = Model()
        with new_archive(kind) as archive:
            for new, view in adds:
                archive.add("chat", new, view)
                model.add(new, view)
                assert archive.turns("chat") == model.arrived
                assert archive.get("chat", sorted(model.latest)) == [model.latest[i] for i in sorted(model.latest)]
                assert archive.saved_view("chat") == model.view

    def test_many_turns_at_once(self, archive):
        new = [said(f"text {number}", f"id {number}") for number in range(5_000)]
        archive.add("chat", new, "view")
        archive.add("chat", [*new, said("last", "last")])
        assert archive.turns("chat") == [*new, said("last", "last")]
        assert archive.get("chat", [turn.id for turn in reversed(new)]) == new[::-1]
        archive.delete("chat")
        assert archive.turns("chat") == []
        assert archive.conversations() == []

    def test_threads_lose_nothing_and_keep_their_order(self, archive):
        failures: list[BaseException] = []

        def work(writer: str) -> None:
            try:
                add_numbered(archive, "chat", writer, 25)
                assert len(archive.get("chat", [f"{writer}-{n}" for n in range(25)])) == 25
                assert archive.conversations() == ["chat"]
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=[f"writer {number}"]) for number in range(8)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            in_between = [turn.id for turn in archive.turns("chat")]
            assert len(set(in_between)) == len(in_between)
        for thread in threads:
            thread.join()
        assert failures == []
        found = archive.turns("chat")
        assert Counter(turn.content.split(" says ")[0] for turn in found) == {f"writer {n}": 25 for n in range(8)}
        for number in range(8):
            own = [turn.id for turn in found if turn.content.startswith(f"writer {number} ")]
            assert own == [f"writer {number}-{n}" for n in range(25)]
        assert archive.saved_view("chat") in {f"by writer {number}" for number in range(8)}


def test_json_alone_would_not_give_every_text_back():
    """Why turns are not simply written by json.dumps: this is what would be lost."""
    assert json.loads(json.dumps("\ud83d\ude00")) == "😀"
