"""Values that stand in a text, and those that are only parts of longer ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gist_core.matching import folded, stands


@pytest.mark.parametrize(
    ("value", "body", "found"),
    [
        ("5", "from 5, at 15", True),
        ("5", "5.2 or 15 or 5th", False),
        ("12", "at 12:30", False),
        ("12", "at 12: go", True),
        ("500円", "価格は500円です", True),
        ("ann lee", "joann lee", False),
        ("$5", "us$5", True),
        ("東京", "東京abc", True),
        ("abc", "東京abc", True),
    ],
)
def test_a_value_stands_by_itself(value, body, found):
    assert stands(value, body) is found


@given(st.text(min_size=1), st.text(), st.text())
def test_a_value_between_blanks_stands(value, before, after):
    value = folded(value)
    if value:
        assert stands(value, f"{folded(before)} ; {value} ; {folded(after)}")


@given(st.lists(st.text(alphabet="aB5.\u00df", min_size=1)), st.sampled_from([" ", "\n", "\t  "]))
def test_case_and_white_space_do_not_matter(words, blank):
    assert folded(blank.join(words)) == folded(" ".join(words).upper()) == " ".join(words).casefold()
