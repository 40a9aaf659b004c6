"""Training on a CPU in float32, whatever the machine has: so that two ways to one result agree to the last digits."""

from __future__ import annotations

import pytest
from accelerate.state import AcceleratorState

from tests.helpers.tiny_causal import cpu_only


@pytest.fixture(autouse=True)
def exact(request, monkeypatch):
    AcceleratorState._reset_state(reset_partial_state=True)
    if request.node.get_closest_marker("gpu") is None:
        cpu_only(monkeypatch)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
