"""Budgets at the rates that are measured."""

from __future__ import annotations

from gist_core.budget import Budget
from gist_core.evaluation.outside import joined_tokens
from gist_core.passage import Compressed, Passage


def budgets(passages: list[Passage]) -> list[Budget]:
    whole = joined_tokens([p.text for p in passages], Budget(tokens=0, tokenizer="cl100k_base"))
    return [Budget(tokens=max(8, whole // rate), tokenizer="cl100k_base") for rate in (2, 4, 10, 20)]


def tokens_of(results: list[Compressed], budget: Budget) -> int:
    return joined_tokens([r.text for r in results], budget)
