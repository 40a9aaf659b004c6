from __future__ import annotations

import random

import pytest

from gist_core.generative import writing
from gist_core.generative.engine import load_parts
from gist_core.generative.framing import Framing
from gist_core.generative.verbatim import WordStarts
from gist_core.generative.writing import WriteItem, Writer
from tests.generative.tiny_lms import FAMILIES, TEXTS, saved


@pytest.fixture(scope="module", params=FAMILIES)
def ready(request, tmp_path_factory):
    found = load_parts(saved(tmp_path_factory.mktemp("lm"), request.param))
    framing = Framing(found.tokenizer, found.config)
    texts = [" ".join(TEXTS)[i : i + n] for i, n in [(0, 120), (5, 9), (30, 60), (60, 20), (2, 3), (90, 100)]]
    rows = [framing.ids(t) for t in texts]
    items = [WriteItem(framing.prompt(ids, 0.1), 4 + 5 * i, ids) for i, ids in enumerate(rows)]
    verbatim = WordStarts(found.tokenizer.backend_tokenizer, found.model.config.vocab_size, framing.end)
    return Writer(found.model.eval(), framing.end, verbatim if found.config.verbatim else None), items


def test_a_row_does_not_depend_on_its_neighbours(ready, monkeypatch):
    writer, items = ready
    alone = [writer([item])[0] for item in items]
    assert writer(items) == alone
    assert len({draft.ids for draft in alone}) > 3
    order = random.Random(0).sample(range(len(items)), len(items))
    assert writer([items[i] for i in order]) == [alone[i] for i in order]
    monkeypatch.setattr(writing, "BATCH_TOKENS", 100)
    assert writer(items) == alone


def test_no_more_is_written_than_asked_for(ready):
    writer, items = ready
    for draft, item in zip(writer(items), items, strict=True):
        assert len(draft.ids) <= item.limit
        assert len(draft.ids) == item.limit or draft.finished
    assert writer([]) == []
