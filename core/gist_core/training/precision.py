"""In which precision accelerate may compute here."""

from __future__ import annotations

from typing import Any

import torch


def mixed_precision() -> str:
    """``"bf16"`` where that is faster: on a GPU that computes in it, on a CPU with AMX; else ``"no"``.

    A CPU that has AVX-512's bfloat16 alone is no faster by it, or slower (a step of ``gist train selective``: as fast
    on an AMD EPYC, 1.7 times as long on an Intel Xeon), and one without either is several times slower.
    """
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "no"
    capabilities = getattr(torch.cpu, "get_capabilities", dict)  # older releases of torch have no such function
    found: dict[str, Any] = capabilities()
    return "bf16" if found.get("amx_bf16") else "no"
