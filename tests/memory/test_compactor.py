from __future__ import annotations

import asyncio
import threading
import warnings
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gist_core.budget import Budget
from gist_core.errors import BudgetTooSmallError, CompressionError, GistError, InvalidInputError
from gist_core.fallback import WRONG_SETTINGS, GistWarning
from gist_core.memory import (
    Compaction,
    ConversationCompactor,
    Conversations,
    MemoryArchive,
    MemoryPolicy,
    ToolCall,
    Turn,
    turn_from_json,
    turn_to_json,
)
from gist_core.memory.counting import TurnCounter
from gist_core.memory.gist import quote
from gist_core.memory.names import named
from gist_core.passage import render
from tests.helpers.conversations import QuickCompressor, conversations
from tests.helpers.lexical import FAIL
from tests.helpers.models import needs_default

LEAST_LABEL = 30  # tokens; more than the label of any gist with its frame
MANY = settings(max_examples=10_000, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
SOME = settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)

policies = st.builds(
    lambda high, share, last: MemoryPolicy(high_water=high, low_water=max(1, high * share // 10), keep_last=last),
    st.integers(30, 500),
    st.integers(1, 10),
    st.integers(0, 6),
)


def compactor(policy: MemoryPolicy, **arguments) -> ConversationCompactor:
    return ConversationCompactor(policy, compressor=QuickCompressor(), **arguments)


def verbatim(turns: list[Turn], keep_last: int) -> set[int]:
    """Indices that have to stay, by the rules and not by the code under test."""
    stay = {i for i, t in enumerate(turns) if t.role == "system" or t.pinned}
    stay |= set(range(max(0, len(turns) - keep_last), len(turns)))
    changed = True
    while changed:
        changed = False
        for i, turn in enumerate(turns):
            ids = {call.id for call in turn.tool_calls}
            ends = [j for j, t in enumerate(turns) if t.role == "tool" and t.tool_call_id in ids]
            unit = set(range(i, max(ends) + 1)) if ends else set()
            if unit & stay and not unit <= stay:
                stay |= unit
                changed = True
    return stay


def check_pairs(given: list[Turn], view: tuple[Turn, ...]) -> None:
    """No result without its call before it, no call that has lost a result it had."""
    answered = {t.tool_call_id for t in given if t.role == "tool"}
    seen: set[str] = set()
    for turn in view:
        if turn.role == "tool":
            assert turn.tool_call_id in seen
        seen |= {call.id for call in turn.tool_calls}
    in_view = {t.tool_call_id for t in view if t.role == "tool"}
    assert {call.id for t in view for call in t.tool_calls} & answered <= in_view


def check_view(given: list[Turn], found: Compaction, policy: MemoryPolicy) -> None:
    counter, view = TurnCounter(policy), found.turns
    assert counter.turns(view) == found.usage.tokens_out <= policy.high_water
    assert found.usage.tokens_in == counter.turns(given)
    check_pairs(given, view)
    leading = next((i for i, t in enumerate(given) if t.role != "system"), len(given))
    assert list(view[:leading]) == given[:leading]
    if leading < len(given) and given[leading].role == "user":
        assert next((t.role for t in view if t.role != "system"), "user") == "user"
    for turn, origin in zip(view, found.origin, strict=True):
        assert (origin is None) == (turn.gist is not None)
        assert origin is None or turn is given[origin]
    if found.gists:
        assert [i for i in found.origin if i is not None] == sorted(i for i in found.origin if i is not None)


def check_gists(given: list[Turn], found: Compaction) -> None:
    by_id = {named_.id: t for t, named_ in zip(given, named(given), strict=True)}
    for gist in found.gists:
        assert gist.text.startswith("[Quotes from")
        assert [p.turn for p in gist.pieces] == sorted((p.turn for p in gist.pieces), key=gist.turns.index)
        for piece in gist.pieces:
            if piece.spans is not None:
                assert piece.text == render(by_id[piece.turn].content, piece.spans)
            assert quote(piece.label, piece.text) in gist.text


@pytest.mark.slow
@MANY
@given(conversations(), policies)
def test_ten_thousand_conversations_keep_every_rule(turns, policy):
    before, memory = deepcopy(turns), compactor(policy)
    must = sum(TurnCounter(policy).turn(turns[i]) for i in verbatim(turns, policy.keep_last))
    try:
        found = memory.compact(turns)
    except BudgetTooSmallError:
        assert must + LEAST_LABEL > policy.high_water
        assert turns == before
        return
    assert turns == before
    check_view(turns, found, policy)
    check_gists(turns, found)
    assert set(found.origin) >= verbatim(turns, policy.keep_last)
    if TurnCounter(policy).turns(turns) <= policy.high_water:
        assert found.turns == tuple(turns)
    elif must + LEAST_LABEL <= policy.low:
        assert found.usage.tokens_out <= policy.low
    assert memory.compact(turns).turns == found.turns
    assert memory.compact(list(found.turns)).turns == found.turns
    assert compactor(policy).compact(list(found.turns)).turns == found.turns
    archived = memory.archive.turns("default")
    assert archived == named(turns)


@SOME
@given(conversations(), policies)
def test_turn_by_turn_every_view_keeps_the_rules(turns, policy):
    memory = compactor(policy)
    for count, turn in enumerate(turns, start=1):
        try:
            found = memory.append(turn)
        except BudgetTooSmallError:
            left = [t for t in memory.view().turns if t.gist is None]
            must = TurnCounter(policy).turns(left[i] for i in verbatim(left, policy.keep_last))
            assert must + LEAST_LABEL > policy.high_water
            continue
        check_view(turns[:count], found, policy)
        check_gists(turns[:count], found)
        last = range(max(0, count - policy.keep_last), count)
        stay = {i for i in range(count) if i in last or turns[i].role == "system" or turns[i].pinned}
        assert {i for i in stay if turns[i].role != "tool"} <= set(found.origin)  # check_pairs sees to the results
    assert memory.archive.turns("default") == named(turns)


@SOME
@given(conversations(), policies)
def test_a_restart_changes_nothing(turns, policy):
    archive = MemoryArchive()
    first = compactor(replace(policy, on_error="original"), archive=archive)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GistWarning)
        for turn in turns * 2:
            first.append(turn)
    again = compactor(policy, archive=archive)
    shown = [(t.role, t.content, t.tool_calls, t.gist) for t in first.view().turns]
    assert [(t.role, t.content, t.tool_calls, t.gist) for t in again.view().turns] == shown
    assert again.view().usage.tokens_out == first.view().usage.tokens_out


def test_a_restart_keeps_lone_surrogates_apart():
    archive, policy = MemoryArchive(), MemoryPolicy(high_water=400, low_water=200, keep_last=2, keep=["K-1"])
    memory = compactor(policy, archive=archive)
    memory.append(Turn("user", "The key \ud83d\ude00 is K-1."), *chat(40))
    assert "\ud83d\ude00" in memory.view().turns[0].content
    assert compactor(policy, archive=archive).view().turns == memory.view().turns


@SOME
@given(conversations())
def test_turns_survive_json(turns):
    assert [turn_from_json(turn_to_json(turn)) for turn in turns] == turns
    found = compactor(MemoryPolicy(high_water=20_000, low_water=200, keep_last=0)).compact([*turns, *turns])
    assert [turn_from_json(turn_to_json(turn)) for turn in found.turns] == list(found.turns)


def chat(count: int, start: int = 0) -> list[Turn]:
    return [
        Turn(
            "user" if i % 2 == 0 else "assistant",
            f"Turn {i} is about box {i * 7 % 101}. Nothing else was said by anyone here today.",
            id=f"t{i}",
        )
        for i in range(start, start + count)
    ]


def test_below_the_high_water_mark_nothing_happens():
    memory, turns = compactor(MemoryPolicy(high_water=5_000)), chat(40)
    found = memory.compact(turns)
    assert all(a is b for a, b in zip(found.turns, turns, strict=True))
    assert found.usage.tokens_scored == 0
    assert found.gists == ()


def test_gists_stay_byte_for_byte_and_turns_are_read_once():
    memory = compactor(MemoryPolicy(high_water=1_000, low_water=500, keep_last=4))
    views, scored = [], 0
    for turn in chat(400):
        found = memory.append(turn)
        scored += found.usage.tokens_scored
        views.append(found.turns)
    unchanged = sum(new[: len(old)] == old for old, new in pairwise(views))
    assert unchanged / (len(views) - 1) > 0.9
    assert scored <= TurnCounter(memory.policy).turns(chat(400))
    kept = [{t.gist.id for t in view if t.gist} for view in views]
    changes = [(old, new) for old, new in pairwise(kept) if old != new]
    assert any(old & new for old, new in changes)  # not every compaction makes all gists anew


def test_the_oldest_gists_are_squeezed_hardest():
    memory = compactor(MemoryPolicy(high_water=1_000, low_water=500, keep_last=4))
    for turn in chat(300):
        found = memory.append(turn)
    density = [len(g.text) / len(g.turns) for g in found.gists]
    assert len(density) > 1
    assert density[0] == min(density)


def test_what_is_old_is_not_squeezed_to_nothing():
    memory = compactor(MemoryPolicy(high_water=1_000, low_water=500, keep_last=4))
    for turn in chat(600):
        found = memory.append(turn)
    quoted = [int(piece.turn.removeprefix("t")) for gist in found.gists for piece in gist.pieces]
    assert sum(at < 300 for at in quoted) >= len(quoted) / 3


def test_an_edited_history_is_noticed():
    memory, turns = compactor(MemoryPolicy(high_water=400, low_water=200, keep_last=2)), chat(60)
    first = memory.compact(turns)
    edited = [*turns[:5], replace(turns[5], content="The box was moved to the attic, number 999."), *turns[6:]]
    found = memory.compact(edited)
    assert found.gists != first.gists
    assert memory.archive.get("default", ["t5"])[0].content.startswith("The box was moved")
    assert [t.content for t in memory.archive.turns("default")].count(turns[5].content) == 1


def test_a_restart_after_an_edit_goes_on_with_the_new_branch():
    archive, policy = MemoryArchive(), MemoryPolicy(high_water=4_000)
    compactor(policy, archive=archive).compact(chat(10))
    edited = [*chat(5), replace(chat(6)[5], content="Another box, number 999."), *chat(2, 6)]
    compactor(policy, archive=archive).compact(edited)
    again = compactor(policy, archive=archive)
    assert [t.content for t in again.view().turns] == [t.content for t in edited]
    assert again.append(Turn("user", "And then?")).origin[-1] == len(edited)


def test_results_without_a_call_are_quoted_once_compaction_is_due():
    lone = Turn("tool", "It is 21 degrees.", name="weather", tool_call_id="cut-off")
    memory = compactor(MemoryPolicy(high_water=1_000, low_water=600, keep_last=3))
    assert memory.compact([*chat(4), lone]).turns[-1] is lone
    found = memory.compact([*chat(60), lone])
    assert all(t.role != "tool" for t in found.turns)
    assert "It is 21 degrees." in found.turns[-1].content


def test_a_longer_history_uses_the_gists_again():
    memory = compactor(MemoryPolicy(high_water=600, low_water=300, keep_last=2))
    first = memory.compact(chat(40))
    grown = memory.compact(chat(44))
    assert grown.turns[0] == first.turns[0]
    assert grown.usage.tokens_scored == 0


def test_a_result_that_comes_after_its_call_was_compacted_is_quoted():
    memory = compactor(MemoryPolicy(high_water=300, low_water=120, keep_last=2))
    memory.append(Turn("user", "Look it up."), Turn("assistant", tool_calls=(ToolCall("late", "search"),)))
    memory.append(*chat(30))
    found = memory.append(Turn("tool", "The answer is 42.", name="search", tool_call_id="late"))
    assert all(turn.role != "tool" for turn in found.turns)
    assert "The answer is 42." in found.turns[-1].content


def test_a_failing_model_leaves_the_turns_and_loses_nothing():
    policy = MemoryPolicy(high_water=300, low_water=150, keep_last=2)
    bad = Turn("user", FAIL, id="bad")
    turns = [bad, *chat(30)]
    with pytest.raises(CompressionError):
        compactor(policy).compact(turns)
    memory = compactor(replace(policy, on_error="original"))
    with pytest.warns(GistWarning, match="cannot read"):
        found = memory.compact(turns)
    assert found.turns == tuple(turns)
    assert isinstance(found.error, CompressionError)
    assert memory.archive.get("default", ["bad", "t29"]) == [bad, turns[-1]]


@pytest.mark.parametrize("wrong", WRONG_SETTINGS)
def test_a_model_that_cannot_be_had_is_never_passed_over(wrong):
    class Broken(QuickCompressor):
        def compress_many(self, *_, **__):
            raise wrong("It cannot be had.", hint="Set it up.")

        compress = compress_many

    memory = ConversationCompactor(
        MemoryPolicy(high_water=300, low_water=150, keep_last=2, on_error="original"), compressor=Broken()
    )
    with pytest.raises(wrong, match="cannot be had"):
        memory.compact(chat(40))
    assert [t.id for t in memory.archive.turns("default")] == [t.id for t in chat(40)]


def test_what_cannot_fit_says_so_or_stays():
    huge = Turn("user", "word " * 500)
    with pytest.raises(BudgetTooSmallError, match="have to stay word for word"):
        compactor(MemoryPolicy(high_water=200, keep_last=1)).compact([huge])
    memory = compactor(MemoryPolicy(high_water=200, keep_last=1, on_error="original"))
    with pytest.warns(GistWarning):
        assert memory.compact([huge]).turns == (huge,)
    memory = compactor(MemoryPolicy(high_water=200, keep_last=1))
    found = memory.compact([huge, *chat(3)])
    assert found.usage.tokens_out <= 200


def test_an_archive_that_fails_stops_compaction_and_loses_nothing():
    class Full(MemoryArchive):
        full = True

        def add(self, conversation, turns, view=None):
            if self.full:
                raise GistError("The disk is full.", hint="Make room.")
            super().add(conversation, turns, view)

    archive, turns = Full(), chat(40)
    memory = compactor(MemoryPolicy(high_water=300, on_error="original"), archive=archive)
    with pytest.warns(GistWarning, match="disk is full"):
        assert memory.append(*turns).turns == tuple(turns)
    archive.full = False
    assert memory.append(Turn("user", "And now?", id="last")).gists
    assert [t.id for t in archive.turns("default")] == [*(t.id for t in turns), "last"]


def test_patterns_to_keep_enter_the_gist_first():
    turns = [*chat(20), Turn("user", "By the way, the magic word is Xyzzy. It rains.", id="magic"), *chat(40, 20)]
    policy = MemoryPolicy(high_water=600, low_water=250, keep_last=2, keep=["Xyzzy"])
    assert "Xyzzy" in compactor(policy).compact(turns).turns[0].content


def test_json_results_in_gists_stay_json():
    import json

    result = json.dumps([{"flight": f"HAT{i:03}", "price": 100 + i} for i in range(60)])
    turns = [
        Turn("user", "Which flights are there?"),
        Turn("assistant", tool_calls=(ToolCall("c", "search", '{"to": "SFO"}'),)),
        Turn("tool", result, name="search", tool_call_id="c"),
        *chat(6),
    ]
    found = compactor(MemoryPolicy(high_water=700, low_water=500, keep_last=2)).compact(turns)
    piece = next(p for p in found.gists[0].pieces if p.label == "search returned")
    assert piece.spans is None
    assert json.loads(piece.text)[0] == {"flight": "HAT000", "price": 100}
    assert 'search({"to": "SFO"})' in found.gists[0].text


def test_recall_finds_what_the_view_has_lost():
    memory = compactor(MemoryPolicy(high_water=600, low_water=150, keep_last=2))
    code = Turn(
        "user", "my locker opens with the word heron. that is a rather long sentence that few would keep.", id="code"
    )
    memory.append(*chat(30), code, *chat(80, 30))
    assert "heron" not in " ".join(t.content for t in memory.view().turns)
    found = memory.recall("Which word opens my locker?", Budget(tokens=80))
    assert "heron" in found.text
    assert found.tokens <= 80
    assert "code" in {piece.turn for piece in found.pieces}
    assert memory.recall("Which word opens my locker?", Budget(tokens=3)).text == ""


def test_recall_says_so_where_a_compressor_fails_in_its_own_way():
    class Broken(QuickCompressor):
        def compress(self, passages, *, query=None, **settings):
            if query is not None:
                raise RuntimeError("out of memory")
            return super().compress(passages, query=query, **settings)

    memory = ConversationCompactor(MemoryPolicy(high_water=400, low_water=200), compressor=Broken())
    memory.append(*chat(40))
    with pytest.raises(CompressionError, match="RuntimeError: out of memory"):
        memory.recall("Which box?", Budget(tokens=80))


def test_recall_searches_only_this_conversation_and_leaves_out_what_is_in_view():
    many = Conversations(
        MemoryPolicy(high_water=400, low_water=200, keep_last=2), compressor=QuickCompressor(), archive=MemoryArchive()
    )
    many.of("a").append(Turn("user", "The code of a is 1111."), *chat(40))
    many.of("b").append(Turn("user", "The code of b is 2222."), *chat(40))
    text = many.of("a").recall("What is the code?", Budget(tokens=60)).text
    assert "2222" not in text
    view = "\n".join(t.content for t in many.of("a").view().turns)
    for piece in many.of("a").recall("Which box is turn 39 about?", Budget(tokens=200)).pieces:
        assert piece.text not in view


@pytest.mark.parametrize(
    ("query", "budget"), [("", Budget(tokens=9)), ("  ", Budget(tokens=9)), ("x", Budget(threshold=0.5))]
)
def test_recall_refuses_what_it_cannot_do(query, budget):
    with pytest.raises(InvalidInputError):
        compactor(MemoryPolicy()).recall(query, budget)


def test_threads_share_a_conversation():
    memory = compactor(MemoryPolicy(high_water=500, low_water=250, keep_last=2))
    work = [threading.Thread(target=memory.append, args=chat(20, start)) for start in range(0, 160, 20)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert sorted(t.id for t in memory.archive.turns("default")) == sorted(t.id for t in chat(160))
    assert memory.view().usage.tokens_out <= 500


def test_async_calls_do_not_block_the_loop():
    async def run() -> list[Compaction]:
        many = Conversations(MemoryPolicy(high_water=400, low_water=200), compressor=QuickCompressor())
        return await asyncio.gather(*(many.of(str(i)).aappend(*chat(30)) for i in range(8)))

    found = asyncio.run(run())
    assert len({tuple(t.content for t in f.turns) for f in found}) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"high_water": 0},
        {"high_water": 10, "low_water": 11},
        {"high_water": True},
        {"keep_last": -1},
        {"tokenizer": "no-such"},
        {"keep": "text"},
        {"keep": ["("]},
        {"on_error": "ignore"},
    ],
)
def test_a_policy_refuses_what_is_unusable(arguments):
    with pytest.raises(InvalidInputError):
        MemoryPolicy(**arguments)


@pytest.mark.parametrize("turns", ["text", [1], None, [Turn("user"), {"role": "user"}]])
def test_turns_are_checked(turns):
    with pytest.raises(InvalidInputError):
        compactor(MemoryPolicy()).compact(turns)


@pytest.mark.parametrize(
    "arguments",
    [{"role": "robot"}, {"role": "user", "content": 3}, {"role": "user", "tool_calls": [ToolCall("a", "b")]}],
)
def test_a_turn_refuses_what_is_unusable(arguments):
    with pytest.raises(InvalidInputError):
        Turn(**arguments)


@needs_default
def test_the_default_model_keeps_facts_before_chat():
    small_talk = ["How are you today?", "Fine, thanks, and you?", "Nice weather, isn't it?", "Yes, quite nice indeed."]
    turns = [Turn("user" if i % 2 == 0 else "assistant", small_talk[i % 4]) for i in range(60)]
    turns[20] = Turn("user", "My passport number is X4471920 and we fly to Lisbon on 14 May 2027.")
    memory = ConversationCompactor(MemoryPolicy(high_water=400, low_water=150, keep_last=2))
    assert "X4471920" in memory.compact(turns).turns[0].content
    assert (
        "Lisbon" in memory.recall("Where do we fly?", Budget(tokens=60)).text
        or "Lisbon" in memory.view().turns[0].content
    )
