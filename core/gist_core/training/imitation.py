"""Make a rating say of a changed network's signals what another checkpoint said: by least squares, without labels.

For calls that are to stay as they are while the network behind them is trained for others, those without a question
first of all: their scores keep their place and spread, which what is added to them (facts, in chat memory) counts on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gist_core.errors import InvalidInputError
from gist_core.selective.fusion import Floats, Fusion
from gist_core.training.fusion import Rated, set_shares


def imitation(rated: Sequence[Rated], wanted: Sequence[Floats]) -> Fusion:
    """A linear fusion of the signals that comes nearest to the logits ``wanted``, (U,) of each case; sets count alike.

    Raises:
        InvalidInputError: A case has other units than logits.
    """
    if [len(r.signals) for r in rated] != [len(w) for w in wanted]:
        raise InvalidInputError(
            "The two checkpoints cut the same texts into different units.", hint="Imitate one of the same granularity."
        )
    x, y = np.concatenate([r.signals for r in rated]).astype(np.float64), np.concatenate(wanted).astype(np.float64)
    shares = zip(rated, set_shares(rated).tolist(), strict=True)
    weight = np.sqrt(np.concatenate([np.full(len(r.signals), share / len(r.signals)) for r, share in shares]))
    mean, scale = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-3)
    ones = np.ones((len(x), 1))
    found = np.linalg.lstsq(np.hstack([(x - mean) / scale, ones]) * weight[:, None], y * weight, rcond=1e-6)[0]
    found = found.astype(np.float32)
    nothing = np.zeros((len(mean), 1), np.float32)
    return Fusion(
        mean.astype(np.float32), scale.astype(np.float32), found[:-1], nothing, nothing[0], nothing[0], found[-1:]
    )
