"""What is checked before any work is done: passages, patterns, timeouts."""

from __future__ import annotations

import math
import re
import threading
from types import MappingProxyType
from typing import Any

import pytest

from gist_core.compressor import check_pattern, check_timeout
from gist_core.errors import InvalidInputError
from gist_core.fallback import FallbackCompressor
from gist_core.passage import Passage


@pytest.mark.parametrize("wrong", ["(", "a{99999999999999999999}", "(" * 5_000 + ")" * 5_000, b"x", 5, None])
def test_what_is_no_pattern_is_named(wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(repr(wrong)[:40])) as caught:
        check_pattern(wrong)
    assert caught.value.hint


@pytest.mark.parametrize("wrong", [0, -1, True, "3", math.nan, math.inf, 1e12, 10**400])
def test_a_timeout_that_no_clock_can_wait_for_is_refused_at_once(wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match="None for no limit"):
        FallbackCompressor(inner=None, timeout=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("right", [None, 1, 0.5, threading.TIMEOUT_MAX])
def test_other_timeouts_are_taken(right: float | None) -> None:
    check_timeout(right)


@pytest.mark.parametrize("wrong", [None, "title", ["title"], 3])
def test_metadata_is_a_mapping(wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match="'p' has metadata of type") as caught:
        Passage("p", "text", wrong)
    assert caught.value.hint


@pytest.mark.parametrize("right", [{}, {"title": "t"}, MappingProxyType({"keep": [[0, 1]]})])
def test_any_mapping_is_taken(right: Any) -> None:
    assert Passage("p", "text", right).metadata is right
