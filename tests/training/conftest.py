"""Training on a CPU in float32, whatever the machine has: so that two ways to one result agree to the last digits."""

from __future__ import annotations

import pytest
import torch
from accelerate.state import AcceleratorState


@pytest.fixture(autouse=True)
def exact(request, monkeypatch):
    AcceleratorState._reset_state(reset_partial_state=True)
    if request.node.get_closest_marker("gpu") is None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
