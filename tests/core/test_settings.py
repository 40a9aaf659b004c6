"""The settings the adapters share."""

from __future__ import annotations

import dataclasses
import pickle
import re
from pathlib import Path

import pytest

from gist_core.budget import Budget
from gist_core.compressor import TextCompressor
from gist_core.errors import DeviceError, InvalidBudgetError, InvalidInputError, TokenizerError
from gist_core.fallback import FallbackCompressor
from gist_core.memory import MemoryArchive
from gist_core.settings import CompressionSettings, MemoryOptions, MemorySettings, pattern_texts
from tests.helpers.lexical import LexicalCompressor


def test_defaults():
    settings = CompressionSettings()
    assert settings.budget() == Budget(ratio=0.25)
    assert (settings.model, settings.on_error, settings.drop_empty) == ("default", "truncate", True)


@pytest.mark.parametrize("size", [{"tokens": 9}, {"ratio": 0.5}, {"threshold": 0.3}, {"tokens": 9, "threshold": 0.3}])
def test_a_size_given_replaces_the_ratio(size):
    more = {"scope": "each", "separator": " | ", "tokenizer": "cl100k_base"}
    assert CompressionSettings(**size, **more).budget() == Budget(**size, **more)


@pytest.mark.parametrize(
    ("wrong", "error", "named"),
    [
        ({"tokens": -1}, InvalidBudgetError, "-1"),
        ({"ratio": 1.5}, InvalidBudgetError, "1.5"),
        ({"tokens": 5, "ratio": 0.5}, InvalidBudgetError, "."),
        ({"scope": "all"}, InvalidBudgetError, "all"),
        ({"tokenizer": "no-such-tokenizer"}, TokenizerError, "no-such-tokenizer"),
        ({"tokenizer": None}, InvalidInputError, "None"),
        ({"device": "gpu"}, DeviceError, "gpu"),
        ({"device": "cuda:x"}, DeviceError, "cuda:x"),
        ({"on_error": "ignore"}, InvalidInputError, "ignore"),
        ({"timeout": 0}, InvalidInputError, "0"),
        ({"keep": ["("]}, InvalidInputError, r"\("),
        ({"keep": "word"}, InvalidInputError, "word"),
        ({"keep": [(0, 3)]}, InvalidInputError, "span"),
        ({"model": ""}, InvalidInputError, "''"),
        ({"model": 3}, InvalidInputError, "3"),
    ],
)
def test_bad_values_are_named_at_construction(wrong, error, named):
    with pytest.raises(error, match=named) as caught:
        CompressionSettings(**wrong)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("pattern", "hit", "miss"),
    [
        (r"\d+", "12", "a"),
        (re.compile("abc", re.IGNORECASE), "ABC", "x"),
        (re.compile("(?i)abc"), "ABC", "x"),
        (re.compile("(?i)^abc", re.MULTILINE), "x\nABC", "x"),
        (re.compile("a b # comment", re.VERBOSE), "ab", "a b"),
        (re.compile(r"\w", re.ASCII), "a", "é"),
    ],
)
def test_patterns_become_text_with_their_flags(pattern, hit, miss):
    (text,) = pattern_texts([pattern])
    assert isinstance(text, str)
    assert re.search(text, hit)
    assert not re.search(text, miss)


def test_build_wraps_in_the_fallback():
    inner = LexicalCompressor()
    built = CompressionSettings(model=inner, on_error="original", timeout=2).build()
    assert built == FallbackCompressor(inner, "original", 2)
    assert isinstance(built, TextCompressor)
    assert CompressionSettings(model=inner, on_error="raise").build() is inner


def test_settings_are_values():
    settings = CompressionSettings(tokens=5, keep=[re.compile("a")])
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert settings.builds_as(CompressionSettings(tokens=9))
    assert not settings.builds_as(CompressionSettings(model=Path("folder")))
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.tokens = 6


def test_memory_settings_make_a_policy_and_conversations():
    model = LexicalCompressor()
    settings = MemorySettings(model=model, high_water=900, low_water=300, keep_last=2, keep=[re.compile("a")])
    policy = settings.policy()
    assert (policy.high_water, policy.low_water, policy.keep_last, policy.keep) == (900, 300, 2, ("a",))
    assert policy.on_error == "original"
    assert settings.compressor() is model
    archive = MemoryArchive()
    conversations = settings.conversations(archive)
    assert (conversations.archive, conversations.policy) == (archive, policy)
    assert MemorySettings.of(settings) == settings


def test_memory_options_are_the_fields_of_the_settings():
    assert list(MemoryOptions.__annotations__) == list(MemorySettings.__dataclass_fields__)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"high_water": 0}, "high_water is 0"),
        ({"high_water": 5, "low_water": 9}, "low_water is 9"),
        ({"keep_last": -1}, "keep_last is -1"),
        ({"tokenizer": "no-such"}, "no-such"),
        ({"tokenizer": None}, "None"),
        ({"keep": ["("]}, r"\("),
        ({"device": "gpu"}, "gpu"),
        ({"model": ""}, "model is ''"),
        ({"on_error": "truncate"}, "truncate"),
    ],
)
def test_bad_memory_settings_are_named_at_construction(wrong, named):
    with pytest.raises(InvalidInputError, match=named):
        MemorySettings(**{"model": LexicalCompressor(), **wrong})
