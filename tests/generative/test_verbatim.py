from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gist_core.generative.verbatim import InOrder, Sources, WordStarts
from gist_core.training.lm.bpe import train_bpe
from tests.generative.tiny_lms import FAMILIES, TEXTS, parts

BPE = train_bpe(TEXTS * 3, 400)
STARTS = WordStarts(BPE.backend_tokenizer, len(BPE), BPE.eos_token_id)
CPU = torch.device("cpu")
ANY_TEXT = st.text(st.sampled_from("ab the \n\t.,é京🙂"), min_size=1, max_size=60)


def _ids(text):
    return BPE(text, add_special_tokens=False)["input_ids"]


def _walk(rows, choose, most=80):
    """Write one gist of each row; ``choose`` picks among the tokens that may come."""
    sources = Sources(rows, STARTS, CPU)
    here, found = sources.start(), []
    for _ in range(most):
        allowed = sources.tokens(here)
        assert allowed.any(dim=1).all()
        written = torch.tensor([choose(row.nonzero().flatten().tolist()) for row in allowed])
        found.append(written)
        here = sources.step(here, written)
    return torch.stack(found, dim=1), sources


def _text(row):
    row = row.tolist()
    return BPE.decode(row[: row.index(BPE.eos_token_id)] if BPE.eos_token_id in row else row)


def _is_in_order(found, words):
    rest = iter(words)
    return all(word in rest for word in found)


@settings(deadline=None, max_examples=60)
@given(st.lists(ANY_TEXT, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_whatever_is_written_is_words_of_the_source_in_their_order(texts, rng):
    rows = [_ids(text) for text in texts]
    gists, _ = _walk(rows, rng.choice)
    for text, gist in zip(texts, gists, strict=True):
        assert BPE.eos_token_id in gist.tolist()  # every source has an end
        assert _is_in_order(_text(gist).split(), text.split())


@settings(deadline=None, max_examples=60)
@given(ANY_TEXT, st.data())
def test_every_choice_of_words_can_be_written(text, data):
    ids = _ids(text)
    starts = STARTS.of(ids)
    word = starts.cumsum(0).tolist()
    kept = data.draw(st.sets(st.sampled_from(word), min_size=1))
    gist = torch.tensor([[i for i, w in zip(ids, word, strict=True) if w in kept] + [BPE.eos_token_id]])
    allowed = Sources([ids], STARTS, CPU).along(gist)
    assert allowed.gather(-1, gist[..., None]).all()


def test_what_may_come_is_what_stands_later_or_goes_on():
    (ids,) = [_ids("one two one three")]
    sources = Sources([ids], STARTS, CPU)

    def allowed(written):
        here = sources.start()
        for token in _ids(written):
            here = sources.step(here, torch.tensor([token]))
        return {BPE.decode([t]) for t in sources.tokens(here)[0].nonzero().flatten().tolist()}

    whole = [" one", " two", " three"]
    firsts = {word: BPE.decode(_ids(word)[:1]) for word in whole}
    assert allowed("one") == {*firsts.values(), BPE.eos_token}
    assert allowed("one two") == {firsts[" one"], firsts[" three"], BPE.eos_token}
    assert allowed("one two one") == {firsts[" three"], BPE.eos_token}  # "two one three" has no second one
    assert allowed("one two one three") == {BPE.eos_token}


def test_the_end_comes_only_behind_a_whole_word():
    ids = _ids("incomprehensibilities")
    assert len(ids) > 2
    gists, sources = _walk([ids], min, most=len(ids) + 1)
    assert gists[0].tolist() == [*ids, BPE.eos_token_id]
    ends = sources.along(gists)[0, :, BPE.eos_token_id]
    assert ends.tolist() == [False] * len(ids) + [True]


@pytest.mark.parametrize("family", FAMILIES)
def test_generate_is_held_to_its_sources(family):
    found = parts(family)
    tokenizer, model = found.tokenizer, found.model.eval()
    starts = WordStarts(tokenizer.backend_tokenizer, model.config.vocab_size, tokenizer.eos_token_id)
    rows = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS[:3]]
    width = max(map(len, rows))
    ids = torch.tensor([[tokenizer.eos_token_id] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    torch.manual_seed(0)
    for sample in (False, True):
        out = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=30,
            do_sample=sample,
            pad_token_id=tokenizer.eos_token_id,
            logits_processor=[InOrder(Sources(rows, starts, CPU))],
        )
        written = tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)
        assert any(written)
        for text, gist in zip(TEXTS, written, strict=False):
            words = re.sub(r"\S+$", "", gist) if len(gist.split()) > 1 else ""  # the last may be cut off
            assert _is_in_order(words.split(), text.split())
