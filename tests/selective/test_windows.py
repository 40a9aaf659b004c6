from __future__ import annotations

from dataclasses import fields
from importlib import resources

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from gist_core.passage import Span
from gist_core.segment import segments
from gist_core.selective.signals import FOREIGN_TEXT
from gist_core.selective.windows import SHORT_PASSAGE, collate, spelled_share, tokenize, windows
from tests.helpers.models import needs_default
from tests.helpers.tiny import tiny_tokenizer

DEFAULT = resources.files("gist_core") / "weights" / "selective"
WORDS = st.lists(
    st.sampled_from(["cat", "dog.", "iron", "5.2", "Napoleon", "\n\n", "好", "\ud800", "\0"]), max_size=120
)


def _cut(texts: list[str], size: int):
    units = [[s.span for s in segments(t)] for t in texts]
    return windows(tokenize(texts, units, tiny_tokenizer()), size)


@settings(max_examples=150, deadline=None)
@given(st.lists(WORDS.map(" ".join), max_size=6), st.integers(8, 60))
def test_every_token_stands_in_exactly_one_window_of_allowed_size(texts, size):
    cut = _cut(texts, size)
    assert cut.bounds[0] == 0
    assert cut.bounds[-1] == len(cut.tokens.ids)
    seen: list[int] = []
    for row in range(len(cut)):
        batch = collate(cut, [row], 2, 3, 0)
        assert 2 < batch.ids.shape[1] <= size + 2
        seen += batch.at[0][batch.at[0] >= 0].tolist()
    assert seen == list(range(len(cut.tokens.ids)))


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS.map(" ".join), min_size=1, max_size=4))
def test_tokens_belong_to_the_unit_they_stand_in(texts):
    units = [[s.span for s in segments(t)] for t in texts]
    tokens = tokenize(texts, units, tiny_tokenizer())
    flat = [(i, s) for i, spans in enumerate(units) for s in spans]
    for start, unit, passage in zip(tokens.start, tokens.unit, tokens.passage, strict=True):
        owner, span = flat[unit]
        assert owner == passage
        assert span.start <= start < span.end


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS.map(" ".join), min_size=1, max_size=4), st.integers(1, 40))
def test_a_text_tokenised_in_parts_has_the_tokens_of_the_whole(texts, characters):
    units = [[s.span for s in segments(t)] for t in texts]
    whole = tokenize(texts, units, tiny_tokenizer())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gist_core.selective.windows.PART_CHARACTERS", characters)
        parts = tokenize(texts, units, tiny_tokenizer())
    assert parts.spelled == whole.spelled
    for field in fields(whole)[1:]:
        assert getattr(parts, field.name).tolist() == getattr(whole, field.name).tolist(), field.name


def test_short_passages_share_a_window_with_separators_between_them():
    cut = _cut(["The cat sat.", "A dog barked.", "He liked cheese."], 64)
    assert len(cut) == 1
    batch = collate(cut, [0], 2, 3, 0)
    assert (batch.ids[0] == 3).sum() == 3


def test_long_passages_have_windows_of_their_own():
    long = "The cat sat on the mat. " * SHORT_PASSAGE
    cut = _cut([long, "A dog barked.", long], 60)
    owners = [set(cut.tokens.passage[a:b].tolist()) for a, b in zip(cut.bounds, cut.bounds[1:], strict=False)]
    assert all(len(o) == 1 for o in owners)


def test_no_text_gives_no_window():
    assert len(_cut([], 10)) == 0
    assert len(_cut(["", " \n"], 10)) == 0


def test_padding_is_masked():
    cut = _cut(["The cat sat on the mat. " * 20, "A dog barked."], 30)
    batch = collate(cut, list(range(len(cut))), 2, 3, 0)
    assert (batch.ids[~batch.mask] == 0).all()
    assert (batch.at[~batch.mask] == -1).all()
    assert np.all(batch.mask.sum(axis=1) >= 3)


@needs_default
@pytest.mark.parametrize(
    ("text", "foreign"),
    [
        (
            "ERROR: pod 7fb96c846b-8x9zk exit 137, trace 4bf92f3577b34da6a3ce929d0e0e4736 span 00f067aa0ba902b7",
            False,
        ),
        ("BRCA1 and TP53 mutations co-occur with EGFR T790M and CDK4.", False),
        ("Warum ist der Himmel am Tag blau? Weil das Licht gestreut wird, seit 1871 bekannt.", True),
        ("1871 7fb96c846b", False),
    ],
)
def test_words_with_digits_do_not_make_a_text_foreign(text, foreign):
    tokenizer = Tokenizer.from_file(str(DEFAULT / "tokenizer.json"))
    encoded = tokenizer.encode(text, add_special_tokens=False)
    assert (spelled_share(encoded, tokenizer, text) > FOREIGN_TEXT) == foreign
    assert (tokenize([text], [[Span(0, len(text))]], tokenizer).spelled > FOREIGN_TEXT) == foreign
