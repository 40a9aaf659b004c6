from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from gist_core.errors import CheckpointError
from gist_core.selective.config import SelectiveConfig
from gist_core.selective.hub import from_pretrained_encoder
from gist_core.selective.network import start_network
from gist_core.selective.scorer import Scorer, WindowItem
from tests.helpers.tiny import tiny_model


def _item(length: int, query: tuple[int, ...] = (2, 9, 10, 3), seed: int = 0) -> WindowItem:
    rng = np.random.default_rng(seed + length)
    ids = rng.integers(5, 60, size=length + 2)
    piece = np.full(length + 2, -1)
    piece[1:-1] = np.sort(rng.integers(0, 3, size=length))
    piece[1:-1] = np.unique(piece[1:-1], return_inverse=True)[1]
    return WindowItem(query, ids, piece)


def _close(a, b, tolerance=1e-4):
    for name in ("keep", "relevance", "piece_cosine", "window_cosine", "central"):
        assert np.allclose(getattr(a, name), getattr(b, name), atol=tolerance), name


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(start_network(tiny_model(), torch.device("cpu"), torch.float32))


def test_scores_do_not_depend_on_the_batch(scorer):
    items = [_item(n, (2, *range(7, 7 + n % 5), 3), seed) for seed, n in enumerate([3, 40, 17, 5, 30, 17, 8])]
    together = scorer(items)
    for item, found in zip(items, together, strict=True):
        _close(found, scorer([item])[0])


def test_order_of_results_is_the_order_of_items(scorer):
    items = [_item(n) for n in (30, 4, 12)]
    assert [len(s.keep) for s in scorer(items)] == [30, 4, 12]


def test_the_query_changes_keep_logits_but_not_the_central_cosine(scorer):
    one, other = scorer([_item(12, (2, 7, 8, 3)), _item(12, (2, 20, 21, 22, 3))])
    assert not np.allclose(one.keep, other.keep, atol=1e-4)
    assert np.allclose(one.central, other.central, atol=1e-5)


def test_a_pretrained_encoder_keeps_its_embeddings(tmp_path):
    config = BertConfig(
        vocab_size=60,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=300,
        hidden_dropout_prob=0.0,
    )
    torch.manual_seed(0)
    encoder = BertModel(config).eval()
    encoder.save_pretrained(tmp_path)
    model = from_pretrained_encoder(tmp_path, branch_layers=1).eval()
    ids = torch.randint(5, 60, (2, 11))
    mask = torch.ones_like(ids, dtype=torch.bool)
    mask[1, 6:] = False
    with torch.no_grad():
        ours = model.embed(model.encode_windows(ids, mask), mask)
        theirs = encoder(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    assert torch.allclose(ours[mask], theirs[mask], atol=1e-5)


def test_an_encoder_that_is_not_there_is_named():
    with pytest.raises(CheckpointError, match="/no/such/encoder"):
        from_pretrained_encoder("/no/such/encoder")


def test_impossible_shapes_are_refused():
    with pytest.raises(CheckpointError, match="385"):
        SelectiveConfig(hidden_size=385)
    with pytest.raises(CheckpointError, match="900"):
        SelectiveConfig(window_tokens=900)
