"""In which precision accelerate may compute here."""

from __future__ import annotations

from typing import Any

import torch


def mixed_precision() -> str:
    """``"bf16"`` where the hardware computes in it, else ``"no"``: a CPU without it is several times slower in bf16."""
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "no"
    capabilities = getattr(torch.cpu, "get_capabilities", dict)  # older releases of torch have no such function
    found: dict[str, Any] = capabilities()
    return "bf16" if found.get("avx512_bf16") or found.get("amx_bf16") else "no"
