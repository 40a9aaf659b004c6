"""What a writer reads instead of all of C, and where the gist that it imitates stands in that."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gist_core.passage import Span, render
from gist_core.selective.engine import Parts
from gist_core.selective.signals import units_of
from gist_core.training.cotrain.credit import GroupCredit
from gist_core.training.cotrain.episodes import Episode
from gist_core.training.cotrain.extracts import Extracts
from gist_core.training.cotrain.generative import GenerativeObjective
from gist_core.training.cotrain.imitate import extracts_loss
from gist_core.training.cotrain.objective import SelectiveObjective
from gist_core.training.cotrain.policy import SelectivePolicy
from gist_core.training.cotrain.recipe import parts_with
from gist_core.training.cotrain.scoring import Frame
from gist_core.training.cotrain.writer import Writer
from tests.helpers.tiny import tiny_model, tiny_tokenizer
from tests.helpers.tiny_causal import speech_tokenizer, tiny_causal

FRAME = Frame(speech_tokenizer(), "\n\n")
CONTEXTS = [
    "Mr. Speaker, the state of the Union is strong.\nWe ask for peace, and we (nearly all) ask for it today.",
    "We choose to go to the moon in this decade and do the other things",
]


class _Kept:
    """A policy that keeps what it is told to, the rest of it never asked for."""

    def __init__(self, read, gist):
        self._kept = [[read, gist]]

    def kept(self, contexts, rates):
        return self._kept


def _policy():
    parts = parts_with(Parts(tiny_model(), tiny_tokenizer(), {}), granularity="word")
    return SelectiveObjective(SelectivePolicy(parts, whole=False), FRAME, GroupCredit())


@given(data=st.data())
def test_the_gist_stands_in_the_extract_word_by_word(data):
    text = data.draw(st.sampled_from([*CONTEXTS, "a\n\nb  c-d. (e) f", "x", ""]))
    units = [s.span for s in units_of(text, "word")]
    read = [u for u in units if data.draw(st.booleans())]
    gist = [u for u in read if data.draw(st.booleans())]
    [[found]] = Extracts(_Kept(read, gist), 2).of([text], [0.1])
    assert found.text == render(text, read)
    assert [found.text[a:b] for a, b in found.gist] == [text[a:b] for a, b in gist]
    assert found.gist == sorted(found.gist)


def test_what_the_extract_lacks_is_not_asked_for():
    [[found]] = Extracts(_Kept([Span(0, 2)], [Span(0, 2), Span(3, 9)]), 2).of([CONTEXTS[1]], [0.1])
    assert (found.text, found.gist) == ("We", [Span(0, 2)])


@pytest.mark.parametrize("times", [1, 1.5, 3])
def test_a_policy_gives_extracts_as_long_as_asked_that_hold_its_gists(times):
    policy, rates = _policy(), (0.2, 0.3, 0.9)
    for rate, some in zip(rates, Extracts(policy, times).of(CONTEXTS, rates), strict=True):
        part = min(1.0, times * rate)
        kept = policy.kept(CONTEXTS, (part, rate))
        for context, found, (read, gist) in zip(CONTEXTS, some, kept, strict=True):
            assert len(FRAME.ids(found.text)) <= part * len(FRAME.ids(context))
            words = [context[a:b] for a, b in gist if Span(a, b) in read]
            assert [found.text[a:b] for a, b in found.gist] == words
            if times == 1:  # of more, words that only filled up the gist may not fit beside better ones
                assert len(words) == len(gist)
            if part == 1:
                assert found.text.split() == context.split()


def test_a_writer_learns_and_writes_behind_extracts_alone():
    torch.manual_seed(0)
    policy = _policy()
    writer = Writer(
        tiny_causal("llama", len(FRAME.tokenizer), positions=256), FRAME, "", "<|gist|>{percent}%", verbatim=True
    )
    extracts = Extracts(policy, 2)
    loss = extracts_loss(writer, extracts, (0.2, 0.4))([Episode(c, " local", " future") for c in CONTEXTS])
    loss.backward()
    assert torch.isfinite(loss) and any(float(p.grad.abs().sum()) > 0 for p in writer.lm.parameters())
    written = GenerativeObjective(writer, (0.2, 0.4), extracts).best(CONTEXTS, 0.4)
    for text, found in zip(written, extracts.of(CONTEXTS, (0.4,))[0], strict=True):
        words = iter(found.text.split())
        assert text and all(word in words for word in text.split())
