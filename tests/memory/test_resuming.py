"""What an archive and a compactor know of a conversation together: names, several writers, branches, restarts."""

from __future__ import annotations

import datetime
import json
import warnings
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gist_core.budget import Budget
from gist_core.errors import GistError, InvalidInputError
from gist_core.fallback import GistWarning
from gist_core.memory import ConversationCompactor, MemoryArchive, MemoryPolicy, ToolCall, Turn
from gist_core.memory.counting import TurnCounter
from gist_core.memory.names import named
from gist_core.memory.sql import SqlArchive
from tests.helpers.conversations import QuickCompressor

SMALL = MemoryPolicy(high_water=200, low_water=100, keep_last=2)
SOME = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def compactor(archive=None, policy: MemoryPolicy = SMALL) -> ConversationCompactor:
    return ConversationCompactor(policy, compressor=QuickCompressor(), archive=archive)


def said(count: int, start: int = 0) -> list[Turn]:
    at = range(start, start + count)
    return [Turn(("user", "assistant")[i % 2], f"Remark {i}: we met at gate {i * 7} by the water.") for i in at]


def contents(turns) -> list[str]:
    return [turn.content for turn in turns]


def known(memory: ConversationCompactor) -> Counter[str]:
    """Contents of all turns that the view shows or stands for."""
    view = memory.view()
    gisted = memory.archive.get("default", [id_ for gist in view.gists for id_ in gist.turns])
    return Counter(contents([*gisted, *(turn for turn in view.turns if turn.gist is None)]))


@pytest.fixture(params=["memory", "sql"])
def archive(request, tmp_path):
    if request.param == "memory":
        yield MemoryArchive()
    else:
        with SqlArchive(tmp_path / "chats.db") as found:
            yield found


def test_two_writers_lose_no_turn(archive):
    writers = {"Ann": compactor(archive), "Bob": compactor(archive)}
    given: Counter[str] = Counter()
    for i in range(12):
        for name, memory in writers.items():
            turns = [Turn("user", f"The order {i} of {name} goes to gate {i}."), Turn("assistant", "Yes.")]
            memory.append(*turns)
            given.update(contents(turns))
    assert all(memory.view().gists for memory in writers.values())
    assert Counter(contents(archive.turns("default"))) == given
    again = compactor(archive)
    assert known(again) == given
    again.append(*said(20))
    assert known(again) == given + Counter(contents(said(20)))
    for name in writers:
        assert f"order 3 of {name}" in again.recall(f"Where does the order 3 of {name} go?", Budget(tokens=60)).text


def test_ids_that_two_writers_gave_are_told_apart_after_a_restart(archive):
    compactor(archive).append(Turn("user", "The code of Ann is 1111.", id="m1"))
    archive.add("default", [Turn("user", "The code of Bob is 2222.", id="m1")])
    again = compactor(archive)
    both = ["The code of Ann is 1111.", "The code of Bob is 2222."]
    assert contents(again.view().turns) == both
    again.append(*said(40))
    assert known(again) == Counter([*both, *contents(said(40))])
    assert contents(compactor(archive).view().turns) == contents(again.view().turns)


def test_an_id_given_twice_loses_no_turn(archive):
    memory = compactor(archive)
    turns = [Turn("user", text, id="m") for text in ("The code is 1111.", "The code is 2222.", "Yes.", "Yes.")]
    for turn in turns:
        assert memory.append(turn).turns[-1] is turn
    assert contents(compactor(archive).view().turns) == contents(turns)
    memory.append(*said(40))
    assert known(memory) == known(compactor(archive)) == Counter(contents([*turns, *said(40)]))
    assert memory.archive.get("default", ["m"]) == turns[:1]


def test_an_edited_turn_keeps_its_id(archive):
    memory = compactor(archive)
    memory.compact([Turn("user", "One.", id="a"), Turn("user", "Two.", id="b")])
    memory.compact([Turn("user", "One.", id="a"), Turn("user", "Three.", id="b")])
    assert contents(archive.get("default", ["b"])) == ["Three."]


branches = st.lists(
    st.lists(
        st.sampled_from(
            [
                Turn("user", "Where is the ship?"),
                Turn("assistant", "In the harbour, and it leaves at 10:30."),
                Turn("user", "Send it to Kiel, code 4711.", id="k"),
                Turn("user", "Send it to Bonn, code 4712.", id="k"),
                Turn("system", "It is noon."),
                Turn("system", "It is midnight.", id="s"),
                *said(30)[::10],
            ]
        ),
        max_size=8,
    ),
    max_size=8,
)


@SOME
@given(branches, st.integers(0, 30))
def test_a_restart_tells_any_branch_as_it_was(lists, start):
    archive = MemoryArchive()
    memory = compactor(archive, MemoryPolicy(high_water=100, low_water=50, keep_last=1, on_error="original"))
    for turns in lists:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GistWarning)
            memory.compact(turns)
            memory.append(*said(2, start))
        again, count = compactor(archive, memory.policy), TurnCounter(memory.policy).turns
        assert contents(again.view().turns) == contents(memory.view().turns)
        assert again.view().usage.tokens_in == memory.view().usage.tokens_in == count([*turns, *said(2, start)])


def test_a_turn_said_again_in_another_branch_survives_a_restart(archive):
    code = Turn("user", "Send it to Kiel, code 4711.")
    memory = compactor(archive)
    memory.compact([Turn("user", "Hi"), Turn("assistant", "Draft one"), code])
    memory.compact([Turn("user", "Hi"), Turn("assistant", "Draft two")])
    memory.compact([Turn("user", "Hi"), Turn("assistant", "Draft two"), code])
    assert contents(compactor(archive).view().turns) == ["Hi", "Draft two", code.content]


def test_branches_taken_in_turn_archive_nothing_twice(archive):
    memory = compactor(archive)
    for _ in range(3):
        memory.compact([*said(4), Turn("user", "Go left.")])
        memory.compact([*said(4), Turn("user", "Go right."), Turn("assistant", "Right.")])
    assert len(archive.turns("default")) == 7


def test_a_branch_reads_nothing_from_the_archive():
    class Counting(MemoryArchive):
        reads = 0

        def turns(self, conversation):
            self.reads += 1
            return super().turns(conversation)

    archive = Counting()
    memory = compactor(archive)
    for i in range(20):
        memory.compact([Turn("user", f"Chat {i}."), Turn("assistant", "Yes.")])
    assert archive.reads == 1  # as it began


def test_the_system_may_say_something_else_each_time(archive):
    memory, turns = compactor(archive), said(40)
    before = memory.compact([Turn("system", "It is noon."), *turns])
    for hour in range(5):
        system = [Turn("system", f"It is {hour}."), Turn("system", "Be kind.")]
        found = memory.compact([*system, *turns])
        assert found.gists == before.gists
        assert (found.turns[0], found.turns[1]) == tuple(system)
        assert found.usage.tokens_scored == 0
        assert found.origin == (0, 1, *(None for _ in found.gists), *range(2 + 38, 2 + 40))
    assert contents(compactor(archive).view().turns) == contents(found.turns)
    assert [t.id for t in named([Turn("system", "A."), *turns])][1:] == [t.id for t in named([system[0], *turns])][1:]


def test_a_view_that_begins_with_the_system_behind_a_gist_without_room_is_known():
    memory = compactor(policy=MemoryPolicy(high_water=54, low_water=5, keep_last=0))
    found = memory.compact([Turn("user", "Hi."), Turn("system", "we " * 49)])
    assert [turn.role for turn in found.turns] == ["system"]
    assert memory.compact(found.turns).usage.tokens_in == found.usage.tokens_in


@pytest.mark.parametrize("on_error", ["raise", "original"])
@pytest.mark.parametrize(
    "bad", [Turn("user", "bad", extra={"at": datetime.date(2027, 5, 3)}), Turn("user", "bad", id=7)]
)
def test_a_turn_that_cannot_be_archived_is_refused_and_changes_nothing(bad, on_error):
    memory = compactor(policy=MemoryPolicy(high_water=200, low_water=100, keep_last=2, on_error=on_error))
    memory.append(*said(2))
    for call in (lambda: memory.append(Turn("user", "fine"), bad), lambda: memory.compact([*said(1), bad])):
        with pytest.raises(InvalidInputError):
            call()
        assert contents(memory.view().turns) == contents(said(2)) == contents(memory.archive.turns("default"))
    assert memory.append(*said(40, 2)).gists
    assert memory.archive.turns("default") == named(said(42))


def test_an_archive_emptied_by_others_stops_nothing():
    memory = compactor()
    memory.compact(said(4))
    memory.archive.delete("default")
    assert contents(memory.compact(said(1)).turns) == contents(said(1))
    assert compactor(memory.archive).view().turns == ()


def test_a_gist_from_elsewhere_is_taken_and_the_rest_is_searched():
    (gist, *_) = compactor().append(*said(40)).gists
    foreign = Turn("user", gist.text, gist=gist)
    memory = compactor()
    memory.compact([foreign])
    assert memory.compact([]).turns == ()
    turns = [Turn("user", f"My code is 77{i:02d}.", id=f"q{i}") for i in range(40)]
    memory.compact([foreign, *turns])
    assert "7703" in memory.recall("Is my code 7703?", Budget(tokens=60)).text
    assert contents(compactor(memory.archive).view().turns) == contents(memory.view().turns)


def test_a_view_of_an_older_version_is_read():
    archive, turns = MemoryArchive(), named(said(40))
    view = compactor(archive).compact(turns[:36])
    data = json.loads(archive.saved_view("default"))
    left = Turn("user", "A draft that was given up.", id="draft")
    archive.add("default", [left, Turn("user", "The turn archived last.", id="last")])
    del data["beside"]
    data["entries"].append("last")
    archive.add("default", turns[36:], json.dumps({**data, "last": "last"}))
    assert contents(compactor(archive).view().turns) == [
        *contents(view.turns),
        "The turn archived last.",
        *contents(turns[36:]),
    ]


def test_results_of_calls_with_one_id_are_told_apart():
    memory = compactor(policy=MemoryPolicy(high_water=200, low_water=100, keep_last=0))
    twice = Turn("assistant", tool_calls=(ToolCall("search", "search"), ToolCall("search", "search")))
    memory.append(Turn("user", "Look both up."), twice, Turn("tool", "One. " * 200, tool_call_id="search"))
    assert memory.view().gists
    found = memory.append(Turn("tool", "Two: 4711.", tool_call_id="search"))
    assert all(turn.role != "tool" for turn in found.turns)
    assert "4711" in found.turns[-1].content


def test_the_prefix_is_what_reads_the_same():
    memory = compactor()
    memory.compact([Turn("user", "A.", id="a"), Turn("assistant", "B.", id="b")])
    assert memory.compact([Turn("user", "Z.", id="a"), Turn("assistant", "B.", id="b")]).usage.prefix == 0
    assert memory.compact([Turn("user", "Z.", id="x"), Turn("assistant", "C.", id="b")]).usage.prefix == 1


def test_a_failing_archive_says_so_and_the_branch_is_saved_later():
    class Full(MemoryArchive):
        full = False

        def add(self, conversation, turns, view=None):
            if self.full:
                raise GistError("The disk is full.")
            super().add(conversation, turns, view)

    archive = Full()
    memory = compactor(archive, MemoryPolicy(high_water=200, on_error="original"))
    memory.compact([*said(2), Turn("user", "Go left.")])
    archive.full = True
    with pytest.warns(GistWarning, match="disk is full"):
        memory.compact([*said(2), Turn("user", "Go right.")])
    archive.full = False
    memory.append(Turn("assistant", "Right."))
    assert contents(compactor(archive).view().turns) == [*contents(said(2)), "Go right.", "Right."]
