"""What a writer is trained on is what it reads and writes, however it is computed."""

from __future__ import annotations

import pytest
import torch

from gist_core.passage import Span
from gist_core.training.cotrain.scoring import Frame
from gist_core.training.cotrain.writer import Writer, next_log_probs
from tests.helpers.tiny_causal import speech_tokenizer, tiny_causal

FRAME = Frame(speech_tokenizer(), "\n\n")
CONTEXTS = ["Mr. Speaker, the state of the Union is strong.\nWe ask for peace", "We choose to go"]
RATES = [0.3, 0.6]
ROOMS = [int(rate * len(FRAME.ids(context))) for context, rate in zip(CONTEXTS, RATES, strict=True)]


@pytest.fixture(params=["llama", "qwen2", "lfm2"])
def model(request):
    return tiny_causal(request.param, len(FRAME.tokenizer), positions=256)


def _writer(model, *, verbatim=False):
    return Writer(model, FRAME, "", "<|gist|>{percent}%", verbatim=verbatim)


def _one_by_one(model, written):
    """Each gist behind its own prompt, without padding and without a cache."""
    for row, owner in enumerate(written.owners.tolist()):
        prompt = written.prompts[owner][written.read[owner]]
        real = written.of_gist[row]
        logits = model(input_ids=torch.cat([prompt, written.gists[row][real]])[None]).logits[0, len(prompt) - 1 : -1]
        if written.allowed is not None:
            logits = logits.masked_fill(~written.allowed[row][real], -1e9)
        yield row, real, torch.log_softmax(logits, dim=-1)


@pytest.mark.parametrize("verbatim", [False, True], ids=["any", "verbatim"])
def test_reading_a_prompt_once_for_all_its_gists_changes_nothing(model, verbatim):
    torch.manual_seed(0)
    written = _writer(model, verbatim=verbatim).write(CONTEXTS, RATES, ROOMS, 12, samples=3)
    assert written.owners.tolist() == [0, 0, 0, 1, 1, 1]
    assert len({len(mask.nonzero()) for mask in written.of_gist}) > 1 or len(set(written.texts)) > 2
    found = next_log_probs(model, written)
    for row, real, expected in _one_by_one(model, written):
        assert torch.allclose(found[row][real], expected, atol=1e-4)


def test_its_gradient_is_that_of_reading_them_one_by_one(model):
    torch.manual_seed(0)
    written = _writer(model).write(CONTEXTS, RATES, ROOMS, 6, samples=2)
    chosen = written.gists[..., None]
    gradients = []
    for shared in (True, False):
        model.zero_grad()
        if shared:
            (next_log_probs(model, written).gather(-1, chosen).squeeze(-1) * written.of_gist).sum().backward()
        else:
            for row, real, found in _one_by_one(model, written):
                found.gather(-1, chosen[row][real]).sum().backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    for here, there in zip(*gradients, strict=True):
        assert torch.allclose(here, there, atol=1e-4, rtol=1e-3)


def test_a_verbatim_writer_samples_words_of_its_context_in_their_order(model):
    torch.manual_seed(0)
    written = _writer(model, verbatim=True).write(CONTEXTS, RATES, ROOMS, 40, samples=4)
    chosen = next_log_probs(model, written).gather(-1, written.gists[..., None]).squeeze(-1)
    assert (chosen[written.of_gist] > -1e4).all()
    for text, owner in zip(written.texts, written.owners.tolist(), strict=True):
        rest = iter(CONTEXTS[owner].split())
        assert text
        assert all(word in rest for word in text.split())


KEPT = [
    [[Span(4, 11), Span(CONTEXTS[0].index("strong"), CONTEXTS[0].index("k for"))], [Span(0, 15)]],
    [[Span(0, 15)], []],
]  # of each context, at each rate


@pytest.mark.parametrize(
    ("verbatim", "first"),
    [(True, "Speaker, strong.\nWe ask"), (False, "Speaker strong.\nWe as")],
    ids=["verbatim", "any"],
)
def test_what_is_imitated_can_be_written(model, verbatim, first):
    writer = _writer(model, verbatim=verbatim)
    written = writer.given(CONTEXTS, KEPT, RATES)
    assert written.owners.tolist() == [0, 0, 1, 1]
    assert written.texts[0] == first
    assert written.texts[2:] == [CONTEXTS[1], ""]
    end = FRAME.tokenizer.eos_token_id
    for at, text in enumerate(written.texts):
        own = written.gists[at][written.of_gist[at]].tolist()
        assert own[-1:] == [end]
        assert end not in own[:-1]
        assert FRAME.tokenizer.decode(own[:-1]).strip() == text
    chosen = next_log_probs(model, written).gather(-1, written.gists[..., None]).squeeze(-1)
    assert (chosen[written.of_gist] > -1e4).all()


def test_gists_of_several_rates_behind_one_context_are_asked_for_as_each_alone_is(model):
    writer = _writer(model, verbatim=True)
    written = writer.given(CONTEXTS, KEPT, [0.05, 1.0])  # "5%" and "100%" differ in length
    found = next_log_probs(model, written)
    rows = list(zip(written.owners.tolist(), [0.05, 1.0] * 2, written.gists, written.of_gist, strict=True))
    for at, (owner, rate, gist, of_gist) in enumerate(rows):
        [prompt] = writer.prompts([CONTEXTS[owner]], [rate])
        own = gist[of_gist]
        logits = model(input_ids=torch.cat([torch.tensor(prompt), own])[None]).logits[0, len(prompt) - 1 : -1]
        allowed = written.allowed[at][of_gist]
        expected = torch.log_softmax(logits.masked_fill(~allowed, -1e9), dim=-1)
        assert torch.allclose(found[at][of_gist], expected, atol=1e-4)
