"""Python 3.11.0 to 3.11.4 let possessive groups give back what they have matched (CPython issue 106052)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
POSSESSIVE_GROUP = re.compile(r"\)(?:[*+?]|\{+\d+,?\d*\}+)\+")


@pytest.mark.parametrize("package", ["core/gist_core", "langchain_gist", "llamaindex_gist"])
def test_groups_of_patterns_are_atomic_not_possessive(package):
    files = sorted((ROOT / package).rglob("*.py"))
    lines = [(f.name, line) for f in files for line in f.read_text(encoding="utf-8").splitlines()]
    assert lines
    assert [found for found in lines if POSSESSIVE_GROUP.search(found[1])] == []


@pytest.mark.parametrize("line", [r'r"(?:a|b)*+"', r'r"(?:a|b)++"', r'rf"(?:a){{0,4}}+"', r'r"(?:a){2,}+"'])
def test_what_is_looked_for_is_found(line):
    assert POSSESSIVE_GROUP.search(line)
