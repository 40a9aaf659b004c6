"""The settings the adapters share."""

from __future__ import annotations

import dataclasses
import os
import pickle
import re
import shutil
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

from gist_core.budget import Budget
from gist_core.compressor import TextCompressor
from gist_core.errors import DeviceError, InvalidBudgetError, InvalidInputError, TokenizerError
from gist_core.fallback import FallbackCompressor, GistWarning
from gist_core.lazy import Shared
from gist_core.loading import DEFAULT, load_compressor
from gist_core.memory import MemoryArchive
from gist_core.passage import Passage
from gist_core.settings import CompressionSettings, MemoryOptions, MemorySettings, pattern_texts, saved_model
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
        ({"threshold": 1}, InvalidBudgetError, "threshold is 1"),
        ({"threshold": -0.1}, InvalidBudgetError, "threshold is -0.1"),
        ({"model": None}, InvalidInputError, "model is None.*pass it again"),
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


@pytest.mark.parametrize("make", [CompressionSettings, MemorySettings])
def test_a_device_that_is_not_here_fails_before_the_first_call(make):
    settings = make(device="cuda:99")
    with pytest.raises(DeviceError, match="cuda:99") as caught:
        settings.build() if make is CompressionSettings else settings.compressor()
    assert "auto" in caught.value.hint


def test_a_passage_takes_spans_of_its_own_text_from_the_metadata():
    metadata = {"keep": [[0, 3]], "title": "A title", "page": 4}
    assert CompressionSettings().passage("a", "One. Two.", metadata) == Passage(
        "a", "One. Two.", {"keep": [[0, 3]], "title": "A title"}
    )


@pytest.mark.parametrize("keep", ["yes", True, [[0, 3], [900, 1000]], [[3, 0]]])
def test_metadata_that_holds_no_spans_of_the_text_is_told_and_left_out(keep):
    metadata = {"keep": keep, "title": "A title"}
    with pytest.warns(GistWarning, match=re.escape("'a'")):
        assert CompressionSettings().passage("a", "One. Two.", metadata).metadata == {"title": "A title"}
    if isinstance(keep, list):
        with pytest.raises(InvalidInputError, match="outside"):
            CompressionSettings(on_error="raise").passage("a", "One. Two.", metadata)


def test_an_unknown_option_is_named_with_the_ones_there_are():
    assert MemorySettings.from_options({"high_water": 900}) == MemorySettings(high_water=900)
    with pytest.raises(InvalidInputError, match=r"'high'.*mean 'high_water'.*keep_last"):
        MemorySettings.from_options({"high": 1})


def test_what_is_saved_of_a_model(tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(DEFAULT, folder)
    assert saved_model("owner/name") == "owner/name"
    assert saved_model(load_compressor()) == "default"
    assert saved_model(load_compressor(on_error="truncate")) == "default"
    assert saved_model(load_compressor(str(folder))) == str(folder)
    assert saved_model(LexicalCompressor()) is None


def test_all_share_the_default_of_a_device():
    one, other = CompressionSettings(device="cpu"), CompressionSettings(tokens=9, device="cpu", on_error="original")
    assert one.build().inner is other.build().inner is load_compressor(device="cpu")
    assert load_compressor(device="cpu") is not load_compressor()


def test_adapters_made_for_a_single_call_each_load_the_weights_once(monkeypatch):
    read = []
    monkeypatch.setattr("gist_core.loading._folder", lambda model: read.append(model) or DEFAULT)
    texts = []
    for _ in range(3):
        compressor = CompressionSettings(device="cpu", on_error="raise").build()
        texts.append(compressor.compress([Passage("a", "One. Two.")], budget=Budget(tokens=2))[0].text)
        del compressor
    assert len(set(texts)) == 1
    assert len(read) <= 1


def test_what_is_shared_goes_when_nobody_holds_it():
    shared = Shared(idle_seconds=0.05)
    made = shared.get("a", threading.Event)
    assert shared.get("a", threading.Event) is made
    assert shared.get("b", threading.Event) is not made
    gone = weakref.ref(made)
    shared.linger("a")
    del made
    assert shared.get("a", threading.Event) is gone()
    for _ in range(200):
        if gone() is None:
            break
        time.sleep(0.02)
    assert gone() is None


FORK = """
import os, threading, time
from gist_core.lazy import Lazy, Shared
shared, lazy, inside, go = Shared(), Lazy(lambda: inside.set() or go.wait(9)), threading.Event(), threading.Event()
held = shared.get("a", threading.Event)
threading.Thread(target=lazy, daemon=True).start()
inside.wait(9)
shared._lock.acquire()
child = os.fork()
if child == 0:
    go.set()
    lazy()
    os._exit(shared.get("a", threading.Event) is held)
for _ in range(300):
    pid, status = os.waitpid(child, os.WNOHANG)
    if pid:
        os._exit(os.waitstatus_to_exitcode(status))
    time.sleep(0.02)
os.kill(child, 9)
os._exit(9)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_waits_for_no_thread_of_its_parent():
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


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
