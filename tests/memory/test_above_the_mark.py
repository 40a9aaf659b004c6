"""What must stay is above the high-water mark, or the model fails: the view is what can be made, not the history."""

from __future__ import annotations

import warnings
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from gist_core.errors import BudgetTooSmallError, CompressionError
from gist_core.fallback import GistWarning
from gist_core.memory import ConversationCompactor, MemoryPolicy, ToolCall, Turn
from gist_core.memory.counting import TurnCounter
from tests.helpers.conversations import QuickCompressor, conversations
from tests.helpers.lexical import FAIL
from tests.memory.test_compactor import LEAST_LABEL, check_gists, check_pairs, policies, verbatim

POLICY = MemoryPolicy(high_water=1_000, low_water=600, keep_last=4, on_error="original")
PAGE = [
    Turn("user", "Fetch the page."),
    Turn("assistant", tool_calls=(ToolCall("c", "fetch"),)),
    Turn("tool", " ".join(f"Row {i} has the value {i * 7}." for i in range(300)), name="fetch", tool_call_id="c"),
]


def compactor(policy: MemoryPolicy = POLICY) -> ConversationCompactor:
    return ConversationCompactor(policy, compressor=QuickCompressor())


def said(count: int, start: int = 0) -> list[Turn]:
    at = range(start, start + count)
    return [Turn(("user", "assistant")[i % 2], f"Remark {i}: we met at gate {i * 7} by the water.") for i in at]


@pytest.mark.parametrize("pinned", [False, True])
def test_a_result_above_the_mark_stands_beside_short_gists(pinned):
    page = [replace(PAGE[0], pinned=pinned), *PAGE[1:]] if pinned else PAGE
    turns = [*page, *said(200)] if pinned else [*said(200), *page]
    if pinned:
        turns[2] = replace(turns[2], pinned=True)
    stay = sorted(verbatim(turns, 4))
    must = TurnCounter(POLICY).turns(turns[at] for at in stay)
    with pytest.warns(GistWarning) as caught:
        found = compactor().compact(turns)
    above = found.usage.tokens_out - 1_000
    assert str(caught[0].message).startswith(f"The view is {above} tokens above high_water: {must} tokens have to stay")
    assert isinstance(found.error, BudgetTooSmallError)
    assert [at for at in found.origin if at is not None] == stay
    assert must < found.usage.tokens_out <= must + 600 // 4
    assert sum(len(gist.turns) for gist in found.gists) == len(turns) - len(stay)
    assert any("Remark" in gist.text for gist in found.gists)


def test_it_is_raised_where_the_policy_says_so_and_the_gists_stay():
    memory = compactor(replace(POLICY, on_error="raise"))
    before = memory.append(*said(200))
    with pytest.raises(BudgetTooSmallError, match=r"tokens have to stay word for word, with high_water=1000\."):
        memory.append(*PAGE)
    assert memory.view().turns == (*before.turns, *PAGE)


def test_the_view_above_the_mark_is_not_made_smaller_at_each_call():
    memory, turns = compactor(), [*said(200), *PAGE]
    with pytest.warns(GistWarning):
        first = memory.compact(turns)
    with pytest.warns(GistWarning):
        again = memory.compact(turns)
    assert again.turns == first.turns
    assert again.usage.tokens_scored == 0
    assert isinstance(again.error, BudgetTooSmallError)


def test_gists_outlast_a_result_that_goes_by():
    memory = compactor(replace(POLICY, high_water=2_000, low_water=1_600))
    memory.append(*said(200))
    with pytest.warns(GistWarning):
        passing = memory.append(*PAGE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GistWarning)
        for turn in said(6, 200):
            found = memory.append(turn)
    assert found.error is None
    assert found.usage.tokens_out <= 2_000
    kept, left = ({piece.turn for gist in view.gists for piece in gist.pieces} for view in (passing, found))
    assert len(kept & left) > len(kept) / 2


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@given(conversations(), policies)
def test_every_view_is_small_or_as_small_as_can_be(turns, policy):
    policy = replace(policy, on_error="original")
    memory = compactor(policy)
    for count, turn in enumerate(turns, start=1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", GistWarning)
            found = memory.append(turn)
        left = [t for t in found.turns if t.gist is None]
        must = TurnCounter(policy).turns(left[i] for i in verbatim(left, policy.keep_last))
        most = must + max(policy.low // 4, LEAST_LABEL)
        assert found.usage.tokens_out <= (policy.high_water if found.error is None else most)
        assert found.error is None or must + LEAST_LABEL > policy.high_water
        check_pairs(turns[:count], found.turns)
        check_gists(turns[:count], found)


@pytest.mark.parametrize("whole", [True, False])
def test_where_the_model_fails_the_view_that_stood_goes_on(whole):
    memory, turns = compactor(), said(200)
    before = memory.compact(turns)
    new = [Turn("user", FAIL), *said(100)]
    with pytest.warns(GistWarning, match="cannot read"):
        found = memory.compact([*turns, *new]) if whole else memory.append(*new)
    assert isinstance(found.error, CompressionError)
    assert found.turns == (*before.turns, *new)
    assert found.origin == (*before.origin, *range(200, 301))
