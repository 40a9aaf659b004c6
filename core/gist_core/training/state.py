"""The state of a run that can be stopped anywhere: written whole or not at all, and its log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def save_state(path: Path, parts: Mapping[str, Any], step: int) -> None:
    """Write what every part's ``state_dict()`` says, and how many steps were done."""
    temporary = path.with_suffix(".tmp")
    torch.save({name: part.state_dict() for name, part in parts.items()} | {"step": step}, temporary)
    temporary.replace(path)


def resume_state(path: Path, parts: Mapping[str, Any]) -> int:
    """Load every part's state, if there is one; how many steps were done."""
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return int(state["step"])


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """One line of JSON more in a log; numbers with five significant digits."""
    tidy = {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in row.items()}
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps(tidy) + "\n")
