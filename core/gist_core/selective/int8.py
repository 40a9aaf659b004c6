"""A linear layer in 8-bit integers, for processors where that is faster than floating point.

Inputs are scaled row by row, weights row by row of the matrix, and the sums of integers are exact; so what a token
comes to does not depend on the tokens beside it. Weights keep to -64..64: without VNNI the processor adds two products
in 16 bits, and 2 * 255 * 64 still fits. Source: per-token dynamic quantisation, Yao et al. 2022 (arXiv 2206.01861).
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

Linear = Callable[[Tensor], Tensor]
_WEIGHT_LIMIT = 64
_INPUT_LIMIT = 127
_ZERO = 128  # inputs are unsigned


class Int8Linear:
    """``x @ weight.T + bias`` for ``weight`` (O, I) and ``bias`` (O,)."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        scale = weight.abs().amax(dim=1).clamp(min=1e-12).float() / _WEIGHT_LIMIT
        whole = torch.round(weight.float() / scale[:, None]).to(torch.int8)
        self._weight = torch.ops.onednn.qlinear_prepack(whole, None)
        self._scale = scale
        self._zeros = torch.zeros(len(scale), dtype=torch.int32)
        self._bias = bias.detach().float()

    def __call__(self, x: Tensor) -> Tensor:
        """(N, I) -> (N, O), both float32."""
        scale = torch.maximum(x.amax(dim=1, keepdim=True), -x.amin(dim=1, keepdim=True)).clamp_(min=1e-12)
        scale /= _INPUT_LIMIT
        whole = (x / scale).add_(_ZERO + 0.5).to(torch.uint8)
        sums = torch.ops.onednn.qlinear_pointwise(
            whole, 1.0, _ZERO, self._weight, self._scale, self._zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        return torch.addcmul(self._bias, sums, scale, out=sums)


def fast_linear(weight: Tensor, bias: Tensor) -> Linear:
    """The fastest linear layer that this processor computes rightly: in integers, else in float32."""
    if int8_works():
        return Int8Linear(weight, bias)
    return lambda x: F.linear(x, weight, bias)


@lru_cache(maxsize=1)
def int8_works() -> bool:
    """Whether the integer kernel is there (x86 with oneDNN) and gives exact sums at the limits."""
    if platform.machine().lower() not in {"x86_64", "amd64"} or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]  # torch declares no type
        return False
    rows = torch.tensor([[127.0] * 64, [-127.0] * 64, [(-1.0) ** i * 127 for i in range(64)]])
    weight = torch.tensor([[64.0] * 64, [-64.0] * 64, [(-1.0) ** i * 64 for i in range(64)]])
    try:
        return bool(torch.equal(Int8Linear(weight, torch.zeros(3))(rows), rows @ weight.T))
    except (RuntimeError, AttributeError, TypeError):
        return False
