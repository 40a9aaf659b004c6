from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gist_core.generative.verbatim import InOrder, Sources, WordStarts
from gist_core.training.cotrain.world import world_tokenizer
from gist_core.training.lm.bpe import train_bpe
from tests.generative.tiny_lms import FAMILIES, TEXTS, parts

BPE = train_bpe([*TEXTS * 3, " a b c d " * 9], 400)
STARTS = WordStarts(BPE.backend_tokenizer, len(BPE), BPE.eos_token_id)
CPU = torch.device("cpu")
ANY_TEXT = st.text(st.sampled_from("ab the \n\t.,é京🙂"), min_size=1, max_size=60)


def _ids(text):
    return BPE(text, add_special_tokens=False)["input_ids"]


def _walk(rows, rooms, choose):
    """Write one gist of each row; ``choose`` picks among the tokens that may come."""
    sources = Sources(rows, rooms, STARTS, CPU)
    so_far, found = sources.start(), []
    for _ in range(max(rooms) + 1):
        allowed = sources.tokens(so_far)
        assert allowed.any(dim=1).all()
        written = torch.tensor([choose(row.nonzero().flatten().tolist()) for row in allowed])
        found.append(written)
        so_far = sources.step(so_far, written)
    return torch.stack(found, dim=1), sources


def _is_in_order(found, words):
    rest = iter(words)
    return all(word in rest for word in found)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(ANY_TEXT, st.integers(1, 40)), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_whatever_is_written_is_words_of_the_source_in_their_order_and_fills_its_room(asked, rng):
    rows, rooms = [_ids(text) for text, _ in asked], [room for _, room in asked]
    gists, _ = _walk(rows, rooms, rng.choice)
    for row, (text, room), gist in zip(rows, asked, gists.tolist(), strict=True):
        end = gist.index(BPE.eos_token_id)
        assert _is_in_order(BPE.decode(gist[:end]).split(), text.split())
        longest = max(STARTS.of(row).cumsum(0).bincount()).item()
        assert min(room, len(row)) - longest < end <= room


@settings(deadline=None, max_examples=60)
@given(ANY_TEXT, st.data())
def test_every_choice_of_words_can_be_written(text, data):
    ids = _ids(text)
    word = STARTS.of(ids).cumsum(0).tolist()
    kept = data.draw(st.sets(st.sampled_from(word), min_size=1))
    gist = torch.tensor([[i for i, w in zip(ids, word, strict=True) if w in kept] + [BPE.eos_token_id]])
    allowed = Sources([ids], [gist.shape[1] - 1], STARTS, CPU).along(gist)
    assert allowed.gather(-1, gist[..., None]).all()


def test_every_token_of_a_word_level_vocabulary_begins_a_word():
    tokenizer = world_tokenizer()
    starts = WordStarts(tokenizer.backend_tokenizer, len(tokenizer), tokenizer.eos_token_id)
    ids = tokenizer("the quiet harbour met Besen", add_special_tokens=False)["input_ids"]
    assert starts.of(ids).tolist() == [True] * 5


def _may_come(text, room, written):
    sources = Sources([_ids(text)], [room], STARTS, CPU)
    so_far = sources.start()
    for token in _ids(written):
        so_far = sources.step(so_far, torch.tensor([token]))
    return {BPE.decode([t]) for t in sources.tokens(so_far)[0].nonzero().flatten().tolist()}


def test_what_may_come_is_what_stands_later_or_goes_on():
    text = "a b a c d"
    assert len(_ids(text)) == 5
    assert _may_come(text, 2, "") == {"a", " b", " a", " c"}  # behind " d" nothing is left for a second one
    assert _may_come(text, 2, "a b") == {BPE.eos_token}
    assert _may_come(text, 3, "a b") == {" a", " c", " d"}
    assert _may_come(text, 4, "a b") == {" a", " c"}
    assert _may_come(text, 5, "a b a") == {" c"}
    assert _may_come(text, 9, "a b a c d") == {BPE.eos_token}
    assert _may_come(text, 4, "a a") == {" c"}


def test_no_word_is_begun_that_does_not_fit():
    text = "a incomprehensibilities b"
    size = len(_ids(text))
    assert size > 5
    assert _may_come(text, 2, "a") == {" b"}
    assert _may_come(text, size, "a") == {BPE.decode(_ids(" incomprehensibilities")[:1])}
    assert _may_come("incomprehensibilities", 2, "") == {BPE.eos_token}


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
            logits_processor=[InOrder(Sources(rows, [12, 9, 30], starts, CPU))],
        )
        written = tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)
        for text, row, gist in zip(TEXTS, out[:, width:], written, strict=True):
            assert _is_in_order(gist.split(), text.split())
            assert 0 < (row != tokenizer.eos_token_id).sum() <= 30
