from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from gist_core.selective.pooling import LOGIT_LIMIT, pool_arrays, pool_logits

LOGITS = arrays.arrays(np.float32, st.integers(0, 40), elements=st.floats(-30, 30, width=32))


@given(LOGITS, st.integers(1, 6), st.integers(0, 2**16))
def test_arrays_and_tensors_are_pooled_alike(logits, count, seed):
    unit = np.random.default_rng(seed).integers(0, count, len(logits))
    tensors = pool_logits(torch.from_numpy(logits), torch.from_numpy(unit), count)
    assert np.allclose(pool_arrays(logits, unit, count), tensors.numpy(), atol=1e-4)


def test_a_unit_without_tokens_gets_the_least():
    assert pool_arrays(np.float32([1.0, 3.0]), np.array([2, 2]), 3).tolist()[:2] == [-LOGIT_LIMIT, -LOGIT_LIMIT]
