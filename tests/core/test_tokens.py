"""Token counters: shipped encodings, Hugging Face tokenizers, functions; hostile texts."""

import gc
import os
import subprocess
import sys
import time
import types
import weakref

import pytest
import tiktoken
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tiktoken_ext import openai_public
from tokenizers import models, pre_tokenizers, trainers

from gist_core.errors import TokenizerError
from gist_core.ranks import SHIPPED, shipped_encoding
from gist_core.tokens import TokenCounter, encoding_name, token_counter


@pytest.fixture
def tokenizer():
    made = tokenizers.Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=alphabet, special_tokens=["<s>"], show_progress=False
    )
    made.train_from_iterator(["the cat sat on the mat", "a token is a piece of a word"], trainer)
    made.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    made.enable_truncation(4)
    made.enable_padding(length=8)
    return made


@pytest.mark.parametrize("name", SHIPPED)
def test_the_pattern_is_tiktokens_own(name):
    globals_without_download = {**vars(openai_public), "load_tiktoken_bpe": lambda *_, **__: {}}
    constructor = types.FunctionType(getattr(openai_public, name).__code__, globals_without_download)
    assert SHIPPED[name].pattern == constructor()["pat_str"]


@pytest.mark.parametrize(("name", "size"), [("o200k_base", 199_998), ("cl100k_base", 100_256)])
def test_shipped_ranks_are_complete(name, size):
    encoding = shipped_encoding(name)
    assert encoding.max_token_value == size - 1
    assert encoding.decode(encoding.encode_ordinary("Grüße, 世界 \n\n 1234")) == "Grüße, 世界 \n\n 1234"


@pytest.mark.parametrize(
    ("name", "text", "count"),
    [
        ("o200k_base", "hello world", 2),
        ("cl100k_base", "tiktoken is great!", 6),
        ("gpt-4o", "hello world", 2),
        ("gpt-3.5-turbo", "hello world", 2),
        ("o200k_base", "", 0),
        ("o200k_base", "nul\0", 2),
    ],
)
def test_known_counts(name, text, count):
    assert token_counter(name).count(text) == count


def test_names_are_mapped_without_loading():
    assert encoding_name("gpt-4o-mini") == "o200k_base"
    assert encoding_name("gpt-4") == "cl100k_base"
    assert token_counter("o200k_harmony") is not None


@pytest.mark.parametrize("name", SHIPPED)
def test_special_tokens_are_text(name):
    assert token_counter(name).count("<|endoftext|>") > 1


def test_an_unknown_name_says_what_to_do():
    with pytest.raises(TokenizerError, match="Pass 'o200k_base'"):
        token_counter("no-such-model")


def test_an_encoding_that_needs_the_network_says_so(monkeypatch):
    def fail(_):
        raise OSError("no route to host")

    monkeypatch.setattr(tiktoken, "get_encoding", fail)
    with pytest.raises(TokenizerError, match="need no network"):
        token_counter("p50k_edit")


@pytest.mark.parametrize("spec", ["o200k_base", "cl100k_base", len])
@given(text=st.text(st.characters(exclude_categories=()), max_size=40))
def test_any_text_counts_as_with_replaced_surrogates(spec, text):
    counter = token_counter(spec)
    clean = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    paired = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert counter.count(text) in {counter.count(clean), counter.count(paired)}
    assert counter.count_many([text, ""]) == [counter.count(text), 0]


@pytest.mark.parametrize("text", ["a", " ", "\n", "漢", "!", "ab", "\ud800"])
def test_a_megabyte_without_a_break_is_counted_in_seconds(text):
    start = time.process_time()
    whole = text * (1_000_000 // len(text))
    assert token_counter("o200k_base").count(whole) > 0
    assert token_counter("cl100k_base").count(whole + "x") > 0
    assert time.process_time() - start < 20


def test_a_tokenizer_counts_plain_text_and_is_not_changed(tokenizer):
    counter = token_counter(tokenizer)
    before = tokenizer.to_str()
    assert counter.count("the cat sat on the mat") == 6
    assert counter.count("") == 0
    assert counter.count("<s>") > 1
    assert counter.count("\ud800 x") == counter.count("\ufffd x")
    assert counter.count_many(["the cat", "\0"]) == [2, 1]
    assert tokenizer.to_str() == before
    assert not counter.is_callable


def test_a_tokenizer_is_copied_once_and_again_when_it_is_changed(tokenizer, monkeypatch):
    copies = []

    class Counting:
        @staticmethod
        def from_str(text):
            copies.append(text)
            return made.from_str(text)

    made = tokenizers.Tokenizer
    monkeypatch.setattr(tokenizers, "Tokenizer", Counting)
    counts = [token_counter(tokenizer).count("the cat sat on the mat") for _ in range(3)]
    tokenizer.enable_truncation(2)  # which no count depends on
    counts.append(token_counter(tokenizer).count("the cat sat on the mat"))
    assert (counts, len(copies)) == ([6] * 4, 1)
    older = token_counter(tokenizer)
    tokenizer.add_tokens(["the cat sat on"])
    assert token_counter(tokenizer).count("the cat sat on the mat") == 3
    assert older.count("the cat sat on the mat") == 6
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(), tokenizer.pre_tokenizer])
    token_counter(tokenizer)
    tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    assert token_counter(tokenizer).count("THE MAT") == token_counter(tokenizer).count("the mat")
    tokenizer.model = models.BPE()
    token_counter(tokenizer)
    assert len(copies) == 5


def test_a_tokenizer_that_nobody_holds_is_let_go(tokenizer):
    own = tokenizers.Tokenizer.from_str(tokenizer.to_str())
    gone = weakref.ref(own)
    assert token_counter(own).count("the cat") == 2
    del own
    gc.collect()
    assert gone() is None


def test_a_tokenizer_with_parts_in_python_says_what_to_do(tokenizer):
    tokenizer.pre_tokenizer = pre_tokenizers.PreTokenizer.custom(object())
    with pytest.raises(TokenizerError, match="as a function"):
        token_counter(tokenizer)


def test_a_transformers_tokenizer_counts_by_its_backend(tokenizer):
    transformers = pytest.importorskip("transformers")
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    fast("the cat", truncation=True, max_length=2)
    counter = token_counter(fast)
    fast("the cat", truncation=True, max_length=1)
    assert counter.count("the cat sat on the mat") == 6
    assert not counter.is_callable


def test_a_tiktoken_encoding_object_and_a_counter_are_taken_as_they_are():
    counter = token_counter(shipped_encoding("o200k_base"))
    assert counter.count("hello world") == 2
    assert token_counter(counter) is counter
    assert isinstance(counter, TokenCounter)


@pytest.mark.parametrize("answer", [-1, 1.0, None, True, "3"])
def test_a_function_must_answer_a_whole_number(answer):
    counter = token_counter(lambda _: answer)
    assert counter.is_callable
    with pytest.raises(TokenizerError, match="int of 0 or more"):
        counter.count("x")


def test_a_function_that_fails_is_named():
    with pytest.raises(TokenizerError, match="fails_always"):
        token_counter(fails_always).count("x")


def fails_always(_):
    raise KeyError("x")


@pytest.mark.parametrize("spec", [3, None, b"o200k_base"])
def test_other_types_are_refused(spec):
    with pytest.raises(TokenizerError, match="cannot be of type"):
        token_counter(spec)


def test_importing_and_counting_needs_no_torch():
    code = (
        "import sys, gist_core.tokens as t; t.token_counter('o200k_base').count('x');"
        "t.token_counter(len).count('x'); sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        ).returncode
        == 0
    )
