"""The public contract, on tiny language models of random weights and on scripted ones."""

from __future__ import annotations

import asyncio
import copy
import pickle
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from math import ceil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gist_core import Budget, Passage, Span, load_compressor
from gist_core.checkpoint import EXTRACTOR
from gist_core.compressor import TextCompressor
from gist_core.errors import BudgetTooSmallError, CheckpointError, CompressionTimeoutError, InvalidInputError
from gist_core.passage import hash_text
from gist_core.tokens import token_counter
from tests.generative.tiny_lms import FAMILIES, backup, saved, scripted

STORY = (
    "Napoleon was born in Corsica in 1769. He liked cheese and long walks. The weather was fine that year. "
    "His brother kept bees. Nobody expected the revolution. Bread cost 5.2 francs in Paris."
)
HOSTILE = {
    "story": STORY,
    "empty": "",
    "blank": " \t\r\n ",
    "emoji": "👩‍👩‍👧‍👦🎉 party 🎈! More 🎉. And 👍🏽.",
    "crlf": "One line.\r\nAnother line.\r\n\r\nA third.",
    "one giant sentence": "word " * 300,
    "no space": "x" * 2_000,
    "lone surrogates": "good \ud800 text. More \udfff text.",
    "nul": "a\0b. c\0d. e.",
    "right to left": "ما اسمك؟ اسمي علي. أين تسكن؟ أسكن في القاهرة.",
    "cjk": "今天天气很好。我们去公园吧！你想去吗？",
    "special tokens": "<|endoftext|> <|gist|> <|end|> <s> </s> <|im_end|>. [MASK] text.",
    "control only": "\x01\x02\x03. \x04",
}
SHORT = "Corsica, 1769; long walks"
EMPTY = Passage("c", "")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("lms")


@pytest.fixture(scope="module", params=FAMILIES)
def compressor(request, root):
    return load_compressor(str(saved(root, request.param)), device="cpu")


@pytest.fixture(scope="module")
def folder(root):
    return saved(root, "lfm2")


def _joined(results, separator="\n\n"):
    return separator.join(r.text for r in results if r.text)


def _check(passages, results, budget):
    counter = token_counter(budget.tokenizer)

    def count(text):
        return counter.count(text) if text else 0

    assert [r.source_id for r in results] == [p.id for p in passages]
    for passage, result in zip(passages, results, strict=True):
        assert result.source_hash == hash_text(passage.text)
        assert result.usage.tokens_in == count(passage.text)
        assert result.usage.tokens_out == count(result.text) <= count(passage.text)
        if budget.scope == "each":
            assert result.usage.tokens_out <= budget.limit(result.usage.tokens_in)
    whole = count(budget.separator.join(p.text for p in passages if p.text))
    if budget.scope == "total":
        assert count(_joined(results, budget.separator)) <= budget.limit(whole)


@pytest.mark.parametrize("scope", ["total", "each"])
@pytest.mark.parametrize("query", [None, "Where does Ali live?"])
def test_hostile_inputs_keep_every_promise(compressor, scope, query):
    passages = [Passage(name, text) for name, text in HOSTILE.items()]
    for ratio in (0.05, 0.5, 1.0):
        budget = Budget(ratio=ratio, scope=scope)
        results = compressor.compress(passages, query=query, budget=budget)
        _check(passages, results, budget)
        if ratio == 1.0:
            assert [r.text for r in results] == list(HOSTILE.values())
            assert results[0].kept == (Span(0, len(STORY)),)


def test_gists_are_written(compressor):
    results = compressor.compress([Passage("a", STORY)] * 2, query="bees", budget=Budget(ratio=0.5))
    assert isinstance(compressor, TextCompressor)
    for result in results:
        assert result.kept is None
        assert result.text not in ("", STORY)
        assert result.score == 0.0
        assert result.model == compressor.model_id
    assert results[0].text == results[1].text


@pytest.mark.parametrize("family", ["verbatim", "extract"])
def test_a_verbatim_gist_is_words_of_its_passage_in_their_order(root, family):
    compressor = load_compressor(str(saved(root, family)), device="cpu")
    for share in (0.5, 0.7, 0.9):
        (found,) = compressor.compress([Passage("a", STORY)], budget=Budget(ratio=share))
        assert found.model == compressor.model_id
        words = iter(STORY.split())
        assert all(word in words for word in found.text.split())
        assert share - 0.15 < found.usage.tokens_out / found.usage.tokens_in <= share
    assert compressor.cut == 0


def test_what_an_extractor_keeps_is_all_that_is_read(root):
    folder, read = saved(root, "extract"), []
    compressor = scripted(folder, lambda text: read.append(text) or text)
    [found] = compressor.compress([Passage("a", STORY)], budget=Budget(ratio=0.3))
    count = token_counter("o200k_base").count
    expected = load_compressor(str(folder / EXTRACTOR), device="cpu").compress(
        [Passage("a", STORY)], budget=Budget(tokens=ceil(1.5 * int(0.3 * count(STORY))))
    )
    assert " ".join(read).split() == expected[0].text.split()
    assert read != [STORY]
    assert STORY.find(found.text.split()[0]) >= 0
    read.clear()
    compressor.compress([Passage("a", STORY)], budget=Budget(ratio=0.9))  # so much more is everything
    assert " ".join(read).split() == STORY.split()


def test_without_its_extractor_a_checkpoint_says_so(root, tmp_path):
    folder = tmp_path / "alone"
    shutil.copytree(saved(root, "extract"), folder, ignore=shutil.ignore_patterns(EXTRACTOR))
    with pytest.raises(CheckpointError, match=EXTRACTOR):
        load_compressor(str(folder), device="cpu").compress([Passage("a", STORY)], budget=Budget(ratio=0.3))


def test_the_same_call_gives_the_same_output_and_nothing_is_mutated(compressor):
    passages = [Passage("a", STORY * 2, {"n": [1]}), Passage("b", STORY, {"keep": [[0, 8]]})]
    before = copy.deepcopy(passages)
    runs = [compressor.compress(passages, query="bees", budget=Budget(ratio=0.4)) for _ in range(2)]
    assert passages == before
    assert [(r.text, r.kept, r.score) for r in runs[0]] == [(r.text, r.kept, r.score) for r in runs[1]]


def test_pickle_round_trip(compressor):
    again = pickle.loads(pickle.dumps(compressor))
    assert (again.model_id, again.cut, again.fell_back) == (compressor.model_id, 0, 0)
    passages, budget = [Passage("a", STORY)], Budget(ratio=0.4)
    assert again.compress(passages, budget=budget)[0].text == compressor.compress(passages, budget=budget)[0].text


def test_concurrent_callers_do_not_change_each_other(compressor):
    jobs = [[Passage("a", STORY[i:]), Passage("b", STORY[: 60 + i])] for i in range(0, 48, 6)]
    budget = Budget(ratio=0.5)
    alone = [[r.text for r in compressor.compress(job, budget=budget)] for job in jobs]

    async def together():
        return await asyncio.gather(*(compressor.acompress(job, budget=budget) for job in jobs))

    assert [[r.text for r in results] for results in asyncio.run(together())] == alone
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda job: [r.text for r in compressor.compress(job, budget=budget)], jobs)
        assert list(found) == alone


def test_a_timeout_belongs_to_its_caller(compressor):
    async def run():
        slow = compressor.acompress([Passage("a", STORY * 50)], budget=Budget(ratio=0.5), timeout=1e-4)
        fine = compressor.acompress([Passage("a", STORY)], budget=Budget(ratio=0.5))
        return await asyncio.gather(slow, fine, return_exceptions=True)

    slow, fine = asyncio.run(run())
    assert isinstance(slow, CompressionTimeoutError)
    assert fine[0].text


def test_a_megabyte_without_a_space_is_compressed(folder):
    text = "".join(random.Random(3).choices("abcdefghij", k=1_000_000))
    compressor = load_compressor(str(folder), device="cpu")
    [result] = compressor.compress([Passage("a", text)], query="abc", budget=Budget(tokens=300))
    assert 0 < token_counter("o200k_base").count(result.text) <= 300
    assert compressor.fell_back == 1


odd = st.one_of(
    st.sampled_from([STORY, *HOSTILE.values()]),
    st.text(st.characters(categories=["L", "N", "P", "Z", "C", "S"]), max_size=120),
)
says = st.sampled_from(
    [
        lambda text: text,
        lambda text: text * 3,
        lambda text: text[::-1],
        lambda text: text[: len(text) // 5],
        lambda text: f"In 1812 {text}",
        lambda text: None if len(text) % 2 else "short " * 9,
        lambda text: "天" * 40,
    ]
)
# A counter may be odd in any way that a user's function can be.
TOKENIZERS = ["o200k_base", "cl100k_base", len, lambda text: len(text.split()), lambda text: 5, lambda t: 7 * len(t)]


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    family=st.sampled_from(["lfm2", "extract"]),
    texts=st.lists(odd, max_size=5),
    say=says,
    size=st.one_of(st.integers(0, 60).map(lambda n: {"tokens": n}), st.floats(0.05, 1).map(lambda r: {"ratio": r})),
    scope=st.sampled_from(["total", "each"]),
    tokenizer=st.sampled_from(TOKENIZERS),
    separator=st.sampled_from(["\n\n", "", " --- "]),
)
def test_whatever_is_written_the_budget_holds(root, family, texts, say, size, scope, tokenizer, separator):
    passages = [Passage(str(i), text) for i, text in enumerate(texts)]
    budget = Budget(**size, scope=scope, tokenizer=tokenizer, separator=separator)
    results = scripted(saved(root, family), say).compress(passages, budget=budget)
    _check(passages, results, budget)
    spare = backup().compress(passages, budget=budget)
    assert all(r.text for r in results if r.kept is None)
    assert any(r.text for r in results) >= any(r.text for r in spare)


def test_what_the_source_does_not_hold_is_cut_and_counted(folder, caplog):
    gist = "Corsica in 1796; long walks in the fine weather of that year"
    compressor = scripted(folder, lambda text: gist if "1769" in text else "")
    with caplog.at_level("INFO", logger="gist_core.generative"):
        [result] = compressor.compress([Passage("a", STORY)], budget=Budget(ratio=0.5))
    assert result.text == "Corsica in; long walks in the fine weather of that year"
    assert (compressor.cut, compressor.fell_back) == (1, 0)
    assert "Cut 1 values" in caplog.text


def test_a_gist_longer_than_its_share_ends_with_a_whole_word(folder):
    compressor = scripted(folder, lambda text: text)
    [result] = compressor.compress([Passage("a", STORY)], budget=Budget(ratio=0.5))
    assert result.kept is None
    assert len(result.text) > len(STORY) / 4
    assert all(word in STORY.split() for word in result.text.split())


def test_long_passages_are_written_piece_by_piece(folder):
    asked = []
    compressor = scripted(folder, lambda text: asked.append(text) or "bees")
    [result] = compressor.compress([Passage("a", STORY * 4)], budget=Budget(ratio=0.5))
    assert len(asked) > 3
    assert result.text == " ".join(["bees"] * len(asked))


@pytest.mark.parametrize("answer", [None, "", "Berlin, Madrid, 1812 and 1813", "\ufffd\0"])
def test_a_gist_that_fails_is_replaced_by_source_text(folder, answer):
    compressor = scripted(folder, lambda text: answer)
    passages, budget = [Passage("a", STORY), Passage("b", "Bees make honey. They live in hives.")], Budget(ratio=0.6)
    results = compressor.compress(passages, query="bees", budget=budget)
    expected = backup().compress(passages, query="bees", budget=budget)
    assert [(r.text, r.kept, r.score, r.model) for r in results] == [
        (r.text, r.kept, r.score, r.model) for r in expected
    ]
    assert compressor.fell_back == sum(r.text != p.text for r, p in zip(results, passages, strict=True)) > 0


def test_gists_and_source_text_share_one_budget(folder):
    compressor = scripted(folder, lambda text: SHORT if "cheese" in text else None)
    passages = [Passage("a", STORY), Passage("b", "Bees make honey. They live in hives. Queens lay eggs."), EMPTY]
    budget = Budget(ratio=0.5)
    results = compressor.compress(passages, query="Who lays eggs?", budget=budget)
    _check(passages, results, budget)
    assert SHORT in results[0].text
    assert results[0].kept is None
    assert results[1].kept is not None
    assert "Queens lay eggs." in results[1].text
    assert {r.score for r in results} == {0.0}


def test_what_must_stay_stays_or_the_call_fails(folder):
    compressor = scripted(folder, lambda text: SHORT)
    passages = [Passage("a", STORY), Passage("b", "Bees make honey. Secret code 4711-X. " * 3, {"keep": [Span(0, 4)]})]
    results = compressor.compress(passages, query="weather", budget=Budget(tokens=34), keep=[r"\d{4}-X"])
    assert results[0].kept is None
    assert results[1].text.count("4711-X") == 3
    assert results[1].text.startswith("Bees")
    tight = compressor.compress(passages, budget=Budget(tokens=26), keep=[r"\d{4}-X"])
    assert tight[1].text.count("4711-X") == 3
    assert token_counter("o200k_base").count(_joined(tight)) <= 26
    with pytest.raises(BudgetTooSmallError):
        compressor.compress(passages, budget=Budget(tokens=10), keep=["Napoleon[^@]*Paris"])
    [own] = compressor.compress([passages[0]], budget=Budget(ratio=0.5), keep=[Span(0, 8)])
    assert own.kept[0].start == 0


@pytest.mark.parametrize("budget", [Budget(threshold=0.5), Budget(threshold=0.5, tokens=20), Budget(ratio=1.0)])
def test_the_backup_answers_where_nothing_is_to_be_written(folder, budget):
    compressor = scripted(folder, lambda text: pytest.fail("asked"))
    passages = [Passage("a", STORY)]
    results = compressor.compress(passages, query="When was Napoleon born?", budget=budget)
    expected = backup().compress(passages, query="When was Napoleon born?", budget=budget)
    assert [(r.text, r.score, r.units) for r in results] == [(r.text, r.score, r.units) for r in expected]


def test_a_share_too_small_for_a_gist_is_filled_with_source_text(folder):
    compressor = scripted(folder, lambda text: pytest.fail("asked"))
    results = compressor.compress([Passage(str(i), STORY) for i in range(6)], query="bees", budget=Budget(tokens=12))
    assert 0 < token_counter("o200k_base").count(_joined(results)) <= 12


def test_no_passages_give_no_results(folder):
    assert load_compressor(str(folder), device="cpu").compress([], budget=Budget(tokens=5)) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"passages": "text"}, "str"), ({"query": 5}, "int"), ({"budget": 100}, "Budget"), ({"keep": ["("]}, r"\(")],
)
def test_wrong_arguments_are_named(folder, arguments, message):
    given = {"passages": [Passage("a", STORY)], "query": None, "budget": Budget(tokens=5), "keep": ()} | arguments
    compressor = load_compressor(str(folder))
    with pytest.raises(InvalidInputError, match=message):
        compressor.compress(given.pop("passages"), **given)


def test_damaged_weights_are_named_at_the_first_gist(root, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("gist.json", "tokenizer.json"):
        (broken / name).write_bytes((saved(root, "llama") / name).read_bytes())
    (broken / "model.safetensors").write_bytes(b"nonsense")
    compressor = load_compressor(str(broken))
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        compressor.compress([Passage("a", STORY)], budget=Budget(ratio=0.5))
