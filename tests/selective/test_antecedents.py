"""Sentences that begin with a pronoun, and what they do for those before them."""

from __future__ import annotations

import numpy as np
import pytest

from gist_core import Budget, Passage, load_compressor
from gist_core.segment import segments
from gist_core.selective.antecedents import LENT, with_antecedents


def _rated(text: str, *logits: float) -> list[float]:
    found = segments(text)
    assert len(found) == len(logits)
    return with_antecedents([text], [found], np.array(logits, dtype=np.float32)).tolist()


@pytest.mark.parametrize(
    ("text", "given", "wanted"),
    [
        ("Ann sings. She won.", (0, 3), (3 - LENT, 3)),
        ('Ann sings. "It won," she said.', (0, 3), (3 - LENT, 3)),
        ("Ann sings. Her song won. This pleased Bob.", (0, 1, 3), (3 - 2 * LENT, 3 - LENT, 3)),
        ("Ann sings. She won.", (3, 0), (3, 0)),  # nothing is ever lowered
        ("Ann sings. Bob won.", (0, 3), (0, 3)),
        ("Ann sings. Hermann won.", (0, 3), (0, 3)),
        ("She won. Ann sings.", (3, 0), (3, 0)),
        ("# Songs\n\nShe won.", (0, 3), (0, 3)),  # a heading comes along by itself
        ("- Ann sings.\n- She won.", (0, 3), (0, 3)),
    ],
)
def test_the_sentence_before_is_worth_nearly_as_much(text, given, wanted):
    assert _rated(text, *given) == pytest.approx(wanted)


def test_nothing_is_lent_to_another_text():
    texts = ["Ann sings.", "She won."]
    logits = np.array([0, 3], dtype=np.float32)
    assert with_antecedents(texts, [segments(t) for t in texts], logits).tolist() == [0, 3]
    assert with_antecedents([], [], np.zeros(0, dtype=np.float32)).tolist() == []


@pytest.mark.parametrize(
    ("query", "text", "wanted"),
    [
        (
            "When was she born in Warsaw?",
            "The harbour was quiet that morning. Marie Curie studied radiation all her life. She was born in Warsaw in "
            "1867. Many people are born in Warsaw every year. A baker sold warm bread near the bridge.",
            "Marie Curie studied radiation all her life. She was born in Warsaw in 1867.",
        ),
        (
            "Who invented the machine?",
            "Machines changed the town. Ada Brown lived by the river. She invented the machine in 1840. Many machines "
            "were built there. Rain fell on the hills all morning.",
            "Ada Brown lived by the river. She invented the machine in 1840.",
        ),
    ],
)
def test_a_pronoun_brings_whom_it_means(query, text, wanted):
    [result] = load_compressor(device="cpu").compress([Passage("a", text)], query=query, budget=Budget(ratio=0.5))
    assert result.text == wanted
