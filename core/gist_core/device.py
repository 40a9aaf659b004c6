"""Which device the model runs on, and in which precision."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gist_core.errors import DeviceError

if TYPE_CHECKING:
    import torch

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def check_device(device: str) -> str:
    """The device's name, checked for its form alone: whether it is there shows when the weights load.

    Raises:
        DeviceError: No such name.
    """
    if not isinstance(device, str) or not _DEVICE.fullmatch(device):
        raise DeviceError(f"device is {device!r}.", hint="Choose 'auto', 'cpu', 'mps', 'cuda' or 'cuda:<number>'.")
    return device


def resolve_device(name: str) -> torch.device:
    """The torch device for ``"auto"`` (cuda, else mps, else cpu) or an explicit name.

    Raises:
        DeviceError: The device is unknown or absent.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"device is {name!r}.", hint="Choose 'auto', 'cpu', 'mps' or 'cuda'.") from error
    absent = (device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count()) or (
        device.type == "mps" and not torch.backends.mps.is_available()
    )
    if absent:
        raise DeviceError(f"Device {name!r} is not available here.", hint="Use device='auto' or 'cpu'.")
    return device


def resolve_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 on GPUs that compute in it; float32 elsewhere, so that CPU results do not depend on batching."""
    import torch

    fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if fast else torch.float32
