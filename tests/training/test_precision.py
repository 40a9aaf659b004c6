from __future__ import annotations

import pytest
import torch

from gist_core.training.precision import mixed_precision


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [({"amx_bf16": True, "avx512_bf16": True}, "bf16"), ({"avx512_bf16": True}, "no"), ({}, "no")],
)
def test_a_cpu_computes_in_bfloat16_only_where_it_has_tiles_for_it(monkeypatch, capabilities, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert mixed_precision() == precision


def test_a_gpu_that_computes_in_bfloat16_does(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert mixed_precision() == "no"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert mixed_precision() == "bf16"


def test_a_release_of_torch_that_does_not_tell_computes_in_full(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert mixed_precision() == "no"
