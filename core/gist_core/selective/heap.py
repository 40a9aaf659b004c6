"""What the C library keeps of memory that was freed."""

from __future__ import annotations

import ctypes
import sys


def trim_memory() -> None:
    """Give freed memory back to the system, where the C library is glibc; elsewhere nothing.

    The network's large temporary tensors and its small results that stay come from one heap. Small ones end up between
    large ones, and glibc by itself gives back no more than the top of its heap.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
