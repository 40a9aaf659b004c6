from __future__ import annotations

import math

import pytest
import torch

from gist_core.cases import Case
from gist_core.evaluation.causal import CausalModel
from gist_core.evaluation.likelihood import mean_kl, mean_nll, run_likelihood, target_log_probabilities
from gist_core.evaluation.outside import OutsideCompressor
from gist_core.evaluation.rows import read_rows
from gist_core.passage import Passage
from tests.helpers.tiny_reader import save_tiny_llama

TEXT = "Napoleon was born in Corsica in 1769. He liked cheese. The cat sat on the mat."


@pytest.fixture(scope="module")
def lm(tmp_path_factory):
    return CausalModel(str(save_tiny_llama(tmp_path_factory.mktemp("llama"), positions=256)), device="cpu")


def test_kl_is_in_nats_per_token():
    certain, even = torch.tensor([[0.9, 0.1]] * 3).log(), torch.tensor([[0.5, 0.5]] * 3).log()
    assert mean_kl(certain, certain) == 0
    assert mean_kl(certain, even) == pytest.approx(0.9 * math.log(1.8) + 0.1 * math.log(0.2))
    assert mean_nll(certain, torch.tensor([0, 0, 1])) == pytest.approx(-(2 * math.log(0.9) + math.log(0.1)) / 3)


def test_log_probabilities_are_those_of_the_target_tokens(lm):
    target = torch.tensor(lm.tokenizer("born in Corsica", add_special_tokens=False)["input_ids"])
    found = target_log_probabilities(lm, TEXT, target)
    ids = torch.tensor([[*lm.tokenizer(TEXT)["input_ids"], *target.tolist()]])
    with torch.inference_mode():
        whole = torch.log_softmax(lm.model(ids).logits[0], dim=-1)
    assert found.shape == (len(target), lm.model.config.vocab_size)
    assert torch.allclose(found, whole[-len(target) - 1 : -1], atol=1e-5)
    assert target_log_probabilities(lm, "", target).shape == found.shape


def _case(name: str, query: str, repeat: int = 1) -> Case:
    return Case(name, "facts", query, [Passage("d", TEXT * repeat)], ["Corsica"], [[]])


def test_the_full_context_is_the_reference_and_rows_are_made_once(lm, tmp_path):
    out = tmp_path / "likelihood.jsonl"
    systems = {
        "all": OutsideCompressor("all", lambda passages, query, budget: [p.text for p in passages]),
        "nothing": OutsideCompressor("nothing", lambda passages, query, budget: ["" for _ in passages]),
    }
    cases = [_case("asked", "Where was he born?"), _case("continued", ""), _case("long", "Where?", repeat=40)]
    run_likelihood(lm, cases[:1], systems, out)
    run_likelihood(lm, cases, systems, out)
    rows = read_rows(out)
    assert len({(r["id"], r["system"], r["rate"]) for r in rows}) == len(rows) == 2 * (2 + 2 * 4) + 1
    by_key = {(r["id"], r["system"], r["rate"]): r for r in rows}
    for name in ("asked", "continued"):
        full, none = by_key[name, "full", 1], by_key[name, "none", 1]
        assert full["kl"] == 0
        assert none["kl"] > 0
        assert by_key[name, "all", 4]["kl"] == pytest.approx(0, abs=1e-6)
        assert by_key[name, "all", 4]["nll"] == pytest.approx(full["nll"])
        assert by_key[name, "nothing", 20]["kl"] == pytest.approx(none["kl"])
    assert "256" in by_key["long", "full", 1]["error"]
