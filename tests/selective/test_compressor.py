"""The public contract, on the shipped model and on a tiny one of random weights."""

from __future__ import annotations

import asyncio
import copy
import pickle
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gist_core import Budget, Passage, Span, load_compressor, render
from gist_core.errors import BudgetTooSmallError, CompressionTimeoutError, InvalidInputError
from gist_core.tokens import token_counter
from tests.helpers.tiny import save_tiny

STORY = (
    "Napoleon was born in Corsica in 1769. He liked cheese and long walks. The weather was fine that year. "
    "His brother kept bees. Nobody expected the revolution. Bread cost 5.2 francs in Paris."
)
HOSTILE = {
    "empty": "",
    "blank": " \t\r\n ",
    "emoji": "👩‍👩‍👧‍👦🎉 party 🎈! More 🎉. And 👍🏽.",
    "crlf": "One line.\r\nAnother line.\r\n\r\nA third.",
    "one giant sentence": "word " * 3000,
    "no sentence end": "alpha beta gamma delta " * 40,
    "no space": "x" * 20_000,
    "lone surrogates": "good \ud800 text. More \udfff text.",
    "nul": "a\0b. c\0d. e.",
    "right to left": "ما اسمك؟ اسمي علي. أين تسكن؟ أسكن في القاهرة.",
    "cjk": "今天天气很好。我们去公园吧！你想去吗？",
    "special tokens": "<|endoftext|> [CLS] [SEP] <s> </s> [PAD]. [MASK] text.",
    "control only": "\x01\x02\x03. \x04",
    "thai": "สวัสดีครับ ผมชื่อสมชาย อยู่ที่กรุงเทพ",
}


@pytest.fixture(scope="module", params=["default", "tiny"])
def compressor(request, tmp_path_factory):
    if request.param == "default":
        return load_compressor(device="cpu")
    return load_compressor(str(save_tiny(tmp_path_factory.mktemp("model") / "tiny")), device="cpu")


@pytest.fixture(scope="module")
def default():
    return load_compressor(device="cpu")


def _joined(results, separator="\n\n"):
    return separator.join(r.text for r in results if r.text)


def test_the_answer_is_kept_first(default):
    passages = [Passage("a", STORY), Passage("b", "Bees make honey. They live in hives. Queens lay eggs.")]
    results = default.compress(passages, query="When was Napoleon born?", budget=Budget(tokens=14))
    assert "1769" in results[0].text
    assert results[0].score > results[1].score
    assert "@" in results[0].model


@pytest.mark.parametrize("query", [None, "Where does Ali live?", "أين يسكن علي؟", "\ud800\0"])
def test_hostile_titles_keep_every_promise(compressor, query):
    texts = list(HOSTILE.values())
    titles = [*texts[5:], *texts[:5]]
    passages = [Passage(name, text, {"title": title}) for name, text, title in zip(HOSTILE, texts, titles, strict=True)]
    before = copy.deepcopy(passages)
    counter = token_counter("o200k_base")
    for budget in (0, 7, 100, 2_000):
        results = compressor.compress(passages, query=query, budget=Budget(tokens=budget))
        assert counter.count(_joined(results)) <= budget
        assert [r.source_id for r in results] == list(HOSTILE)
        assert all(r.text == render(p.text, r.kept) for p, r in zip(passages, results, strict=True))
    assert passages == before


@pytest.mark.parametrize("scope", ["total", "each"])
@pytest.mark.parametrize("tokenizer", ["o200k_base", "cl100k_base"])
@pytest.mark.parametrize("query", [None, "Where does Ali live?", "q " * 5000, "\ud800\0"])
def test_hostile_inputs_keep_every_promise(compressor, scope, tokenizer, query):
    passages = [Passage(name, text) for name, text in HOSTILE.items()]
    counter = token_counter(tokenizer)
    for ratio in (0.05, 0.5, 1.0):
        results = compressor.compress(
            passages, query=query, budget=Budget(ratio=ratio, scope=scope, tokenizer=tokenizer)
        )
        assert [r.source_id for r in results] == list(HOSTILE)
        for passage, result in zip(passages, results, strict=True):
            assert result.text == render(passage.text, result.kept)
            assert result.usage.tokens_out == counter.count(result.text) <= counter.count(passage.text)
            if scope == "each":
                assert result.usage.tokens_out <= int(ratio * counter.count(passage.text))
        whole = counter.count("\n\n".join(p.text for p in passages if p.text))
        if scope == "total":
            assert counter.count(_joined(results)) <= int(ratio * whole)
        if ratio == 1.0:
            assert [r.text for r in results] == list(HOSTILE.values())


def test_a_megabyte_without_a_space_is_compressed(compressor):
    text = "".join(random.Random(3).choices("abcdefghij", k=1_000_000))
    [result] = compressor.compress([Passage("a", text)], query="abc", budget=Budget(tokens=300))
    assert 0 < token_counter("o200k_base").count(result.text) <= 300


def test_no_passages_give_no_results(compressor):
    assert compressor.compress([], query="x", budget=Budget(tokens=5)) == []


def test_nothing_is_mutated_and_the_same_call_gives_the_same_output(compressor):
    passages = [Passage("a", STORY, {"keep": [[0, 8]], "n": [1]}), Passage("b", "Bees make honey.")]
    before = copy.deepcopy(passages)
    budget = Budget(tokens=30)
    first = compressor.compress(passages, query="bees", budget=budget, keep=["cheese"])
    second = compressor.compress(passages, query="bees", budget=budget, keep=["cheese"])
    assert passages == before
    assert [(r.text, r.kept, r.score) for r in first] == [(r.text, r.kept, r.score) for r in second]


def test_what_must_stay_stays_or_the_call_fails(compressor):
    passages = [Passage("a", STORY), Passage("b", "Bees make honey. Secret code 4711-X.", {"keep": [Span(0, 4)]})]
    results = compressor.compress(passages, query="weather", budget=Budget(tokens=20), keep=[r"\d{4}-X"])
    assert "4711-X" in results[1].text
    assert results[1].text.startswith("Bees")
    with pytest.raises(BudgetTooSmallError):
        compressor.compress(passages, budget=Budget(tokens=10), keep=["Napoleon.*Paris"])


def test_a_threshold_keeps_what_scores_above_it(default):
    passages = [Passage("a", STORY)]
    [full] = default.compress(passages, query="When was Napoleon born?", budget=Budget(ratio=1.0))
    scores = sorted(u.score for u in full.units)
    edge = (scores[-1] + scores[-2]) / 2
    [result] = default.compress(passages, query="When was Napoleon born?", budget=Budget(threshold=edge))
    best = max(full.units, key=lambda u: u.score)
    assert result.kept == (Span(best.start, best.end),)
    [none] = default.compress(passages, query="x", budget=Budget(threshold=1.0), allow_empty=True)
    assert none.text == ""
    [some] = default.compress(passages, query="x", budget=Budget(threshold=1.0))
    assert some.text


def test_words_are_kept_where_no_sentence_fits(default):
    text = "The committee decided that the annual fee for members rises to $45.50 per year from next January."
    [result] = default.compress([Passage("a", text)], query="What is the annual fee?", budget=Budget(tokens=8))
    assert 0 < result.usage.tokens_out <= 8
    assert all(w in text for w in result.text.split())


def test_headings_come_with_their_first_sentence(default):
    text = "# Fees\n\nThe annual fee is 45 dollars.\n\n# Opening hours\n\nThe library opens at nine. It closes at six."
    [result] = default.compress([Passage("a", text)], query="When does the library open?", budget=Budget(tokens=12))
    assert "# Opening hours" in result.text
    assert "opens at nine" in result.text


def test_pickle_round_trip(compressor):
    again = pickle.loads(pickle.dumps(compressor))
    passages, budget = [Passage("a", STORY)], Budget(tokens=12)
    assert again.model_id == compressor.model_id
    assert again.compress(passages, query="bees", budget=budget)[0].text == (
        compressor.compress(passages, query="bees", budget=budget)[0].text
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"passages": "text"}, "str"),
        ({"passages": [1]}, "int"),
        ({"query": 5}, "int"),
        ({"budget": 100}, "Budget"),
        ({"keep": "x"}, "keep"),
        ({"keep": ["("]}, r"\("),
    ],
)
def test_wrong_arguments_are_named(compressor, arguments, message):
    given = {"passages": [Passage("a", STORY)], "query": None, "budget": Budget(tokens=5), "keep": ()} | arguments
    with pytest.raises(InvalidInputError, match=message):
        compressor.compress(given.pop("passages"), **given)


def test_concurrent_callers_do_not_change_each_other(default):
    jobs = [(STORY[i:], f"question {i} about bees or Napoleon") for i in range(0, 64, 2)]
    budget = Budget(tokens=20)
    alone = [default.compress([Passage("a", text)], query=query, budget=budget)[0] for text, query in jobs]

    async def together():
        calls = [default.acompress([Passage("a", text)], query=query, budget=budget) for text, query in jobs]
        return [r[0] for r in await asyncio.gather(*calls)]

    for one, other in zip(alone, asyncio.run(together()), strict=True):
        assert one.kept == other.kept
        assert one.score == pytest.approx(other.score, abs=1e-4)


def test_a_timeout_belongs_to_its_caller(compressor):
    async def run():
        slow = compressor.acompress([Passage("a", STORY * 200)], query="bees", budget=Budget(tokens=20), timeout=1e-4)
        fine = compressor.acompress([Passage("a", STORY)], query="bees", budget=Budget(tokens=20))
        return await asyncio.gather(slow, fine, return_exceptions=True)

    slow, fine = asyncio.run(run())
    assert isinstance(slow, CompressionTimeoutError)
    assert fine[0].text


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="counts threads as Linux shows them")
def test_callers_do_not_compute_with_torch(default):
    """A caller that did would start OpenMP threads of its own beside those of the network, and slow both."""
    passages = [Passage(str(i), STORY * 30) for i in range(8)]

    def threads():
        return len(list(Path("/proc/self/task").iterdir()))

    def call(query):
        default.compress(passages, query=query, budget=Budget(ratio=0.25))

    call("bees")
    with ThreadPoolExecutor(1) as caller:
        before = caller.submit(threads).result()
        caller.submit(call, "Napoleon").result()
        assert caller.submit(threads).result() <= before
