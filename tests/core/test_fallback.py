"""What a caller gets when the model fails, and which errors stay errors."""

from __future__ import annotations

import asyncio
import pickle
import re
import time

import pytest

from gist_core.budget import Budget
from gist_core.errors import (
    BudgetTooSmallError,
    CheckpointError,
    CompressionError,
    CompressionTimeoutError,
    DeviceError,
    InvalidInputError,
    MissingExtraError,
)
from gist_core.fallback import FallbackCompressor, GistWarning, truncate
from gist_core.passage import Passage, Span, render
from gist_core.tokens import token_counter
from tests.helpers.lexical import Broken, LexicalCompressor
from tests.helpers.stories import QUESTIONS, STORIES

PASSAGES = [Passage(id=name, text=text) for name, text in STORIES.items()]
BUDGET = Budget(tokens=60)
RUN_TIME_ERRORS = [
    CompressionError("nan"),
    BudgetTooSmallError("keep"),
    CompressionTimeoutError("slow"),
    RuntimeError("CUDA out of memory"),
    MemoryError(),
    OSError("disk"),
]


def compress_either_way(compressor, is_async, passages=PASSAGES, budget=BUDGET, **more):
    if is_async:
        return asyncio.run(compressor.acompress(passages, budget=budget, **more))
    return compressor.compress(passages, budget=budget, **more)


def joined_tokens(results, budget):
    return token_counter(budget.tokenizer).count(budget.separator.join(r.text for r in results if r.text))


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request):
    return request.param


@pytest.mark.parametrize("error", RUN_TIME_ERRORS, ids=lambda e: type(e).__name__)
def test_truncate_keeps_the_budget_and_says_why(error, is_async):
    compressor = FallbackCompressor(Broken(error))
    with pytest.warns(GistWarning, match=type(error).__name__):
        results = compress_either_way(compressor, is_async, query="who?")
    assert [r.source_id for r in results] == list(STORIES)
    assert 0 < joined_tokens(results, BUDGET) <= 60
    assert all(r.text == render(p.text, r.kept) for p, r in zip(PASSAGES, results, strict=True))
    assert results[0].text.startswith("The lighthouse")
    assert results[-1].text == ""
    assert {r.model for r in results} == {"fallback-truncate"}
    assert compressor.fallbacks == 1


def test_original_gives_the_whole_texts(is_async):
    compressor = FallbackCompressor(Broken(CompressionError("nan")), on_error="original")
    with pytest.warns(GistWarning, match="nan"):
        results = compress_either_way(compressor, is_async, [*PASSAGES, Passage("empty", "")])
    assert [r.text for r in results] == [*STORIES.values(), ""]
    assert results[0].kept == (Span(0, len(PASSAGES[0].text)),)
    assert results[-1].kept == ()
    assert results[0].usage.ratio == 1.0


@pytest.mark.parametrize("error", RUN_TIME_ERRORS, ids=lambda e: type(e).__name__)
def test_raise_raises(error, is_async):
    compressor = FallbackCompressor(Broken(error), on_error="raise")
    with pytest.raises(type(error)):
        compress_either_way(compressor, is_async)
    assert compressor.fallbacks == 0


@pytest.mark.parametrize(
    "error",
    [InvalidInputError("bad"), CheckpointError("no weights"), DeviceError("no cuda"), MissingExtraError("no hub")],
    ids=lambda e: e.message,
)
@pytest.mark.parametrize("on_error", ["truncate", "original", "raise"])
def test_errors_of_the_caller_and_of_the_settings_are_always_raised(error, on_error, is_async):
    compressor = FallbackCompressor(Broken(error), on_error=on_error)
    with pytest.raises(type(error)):
        compress_either_way(compressor, is_async)
    assert compressor.fallbacks == 0


def test_what_must_stay_and_does_not_fit_stays_as_far_as_it_fits(is_async):
    numbers = "Call +1 555 0100 now. " + "The sea was calm. " * 20 + "Or call +1 555 0199 then. " * 30
    passages = [Passage("calm", "Nothing was said. " * 30), Passage("calls", numbers)]
    call = {"budget": Budget(tokens=40), "keep": [r"\+1 555 \d+"]}
    with pytest.warns(GistWarning, match="BudgetTooSmallError"):
        results = compress_either_way(FallbackCompressor(LexicalCompressor()), is_async, passages, **call)
    assert results[1].text.startswith("Call +1 555 0100 now. Or call +1 555 0199")
    assert results[1].text.count("+1 555") >= 3
    assert 30 < joined_tokens(results, call["budget"]) <= 40
    with pytest.raises(BudgetTooSmallError):
        compress_either_way(FallbackCompressor(LexicalCompressor(), "raise"), is_async, passages, **call)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"passages": "text"}, "str"),
        ({"passages": [1]}, r"passages\[0\]"),
        ({"query": 3}, "int"),
        ({"budget": 100}, "int"),
        ({"keep": "a"}, "'a'"),
        ({"keep": ["("]}, r"'\('"),
        ({"keep": [re.compile(b"a")]}, "keep holds"),
    ],
)
def test_bad_calls_never_reach_the_model(wrong, named, is_async):
    compressor = FallbackCompressor(Broken(CompressionError("reached")))
    with pytest.raises(InvalidInputError, match=named):
        compress_either_way(compressor, is_async, **wrong)


def test_timeout(is_async):
    compressor = FallbackCompressor(Broken(seconds=5), timeout=0.05)
    start = time.monotonic()
    with pytest.warns(GistWarning, match=r"0\.05 s"):
        results = compress_either_way(compressor, is_async)
    assert time.monotonic() - start < 3
    assert joined_tokens(results, BUDGET) <= 60
    compressor.inner.release.set()


def test_timeout_raises_with_raise(is_async):
    compressor = FallbackCompressor(Broken(seconds=5), on_error="raise", timeout=0.05)
    with pytest.raises(CompressionTimeoutError, match=r"0\.05 s"):
        compress_either_way(compressor, is_async)
    compressor.inner.release.set()


def test_a_fast_enough_call_is_untouched(is_async):
    inner = LexicalCompressor()
    plain = compress_either_way(inner, is_async, query=QUESTIONS["bridge"])
    guarded = compress_either_way(FallbackCompressor(inner, timeout=30), is_async, query=QUESTIONS["bridge"])
    assert guarded == plain
    assert "cracked iron girder" in guarded[1].text


def test_an_error_within_the_timeout_stays_itself():
    compressor = FallbackCompressor(Broken(TimeoutError("inner")), on_error="raise", timeout=30)
    with pytest.raises(TimeoutError, match="inner"):
        compressor.compress(PASSAGES, budget=BUDGET)


def test_the_timeout_of_a_call_replaces_the_own():
    compressor = FallbackCompressor(Broken(seconds=5), on_error="raise", timeout=30)
    with pytest.raises(CompressionTimeoutError, match=r"0\.05 s"):
        asyncio.run(compressor.acompress(PASSAGES, budget=BUDGET, timeout=0.05))


def test_cancellation_propagates():
    async def main() -> None:
        call = asyncio.create_task(FallbackCompressor(Broken(seconds=5)).acompress(PASSAGES, budget=BUDGET))
        await asyncio.sleep(0.01)
        call.cancel()
        await call

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(main())


@pytest.mark.parametrize("wrong", [{"on_error": "ignore"}, {"timeout": 0}, {"timeout": -1.0}, {"timeout": "5"}])
def test_bad_settings(wrong):
    with pytest.raises(InvalidInputError, match=str(next(iter(wrong.values())))):
        FallbackCompressor(LexicalCompressor(), **wrong)


def test_pickle_round_trip():
    again = pickle.loads(pickle.dumps(FallbackCompressor(LexicalCompressor(), "original", 3.0)))
    assert (again.on_error, again.timeout, again.model_id) == ("original", 3.0, "lexical-1")


HOSTILE = [
    "",
    " \n\t",
    "x" * 20_000,
    "😀" * 300,
    "a\r\nb\r\n" * 50,
    "\ud800 lone",
    "nul\0nul",
    "שלום עולם. " * 40,
    "東京。" * 80,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("budget", [Budget(tokens=20), Budget(ratio=0.1), Budget(tokens=7, scope="each")], ids=str)
def test_truncate_holds_the_budget_on_hostile_texts(text, budget):
    results = truncate([Passage("a", text), Passage("b", "One. Two three four.")], budget)
    count = token_counter(budget.tokenizer).count
    if budget.tokens is not None and budget.scope == "each":
        assert all(count(r.text) <= budget.tokens for r in results)
    elif budget.tokens is not None:
        assert joined_tokens(results, budget) <= budget.tokens
    else:
        assert joined_tokens(results, budget) <= 0.1 * count(budget.separator.join([text, "One. Two three four."])) + 1


def test_truncate_reads_from_the_start_and_keeps_what_must_stay():
    results = truncate(PASSAGES, Budget(tokens=40), keep=["Halden"])
    assert "Halden" in results[3].text
    assert results[0].text.startswith("The lighthouse")
    with pytest.raises(BudgetTooSmallError):
        truncate(PASSAGES, Budget(tokens=3), keep=["Snow stopped the train for three days near Halden"])


def test_truncate_cuts_a_sentence_that_does_not_fit():
    results = truncate([Passage("a", "word " * 500)], Budget(tokens=50))
    assert 40 <= joined_tokens(results, BUDGET) <= 50


def test_truncate_ignores_a_threshold():
    assert [r.text for r in truncate(PASSAGES, Budget(threshold=0.9))] == list(STORIES.values())
    assert truncate(PASSAGES, Budget(threshold=0.9, tokens=60))[0].text
