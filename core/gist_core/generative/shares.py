"""How many tokens the gist of each passage may have. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gist_core.budget import Budget
from gist_core.tokens import TokenCounter


@dataclass(frozen=True, slots=True)
class Shares:
    """``tokens_in`` of each passage alone, and the most tokens of each gist: ``most``, 0 where none is to be written.

    ``limit`` is for all texts joined; None where every passage has its own, with ``scope="each"``.
    """

    tokens_in: list[int]
    most: list[int]
    limit: int | None


def share_out(texts: Sequence[str], budget: Budget, counter: TokenCounter) -> Shares:
    """Each passage's part of the budget: in proportion to its tokens, rounded down, the separators paid for.

    None where everything fits, for a blank passage, and under a threshold, since a gist has no units to hold it to.
    """
    tokens_in = counter.count_many(texts)
    if budget.scope == "each":
        limits = [budget.limit(tokens) for tokens in tokens_in]
        most = [limit if limit < tokens else 0 for limit, tokens in zip(limits, tokens_in, strict=True)]
        return Shares(tokens_in, _allowed(texts, most, budget), None)
    whole = counter.count(budget.separator.join(text for text in texts if text))
    limit = budget.limit(whole)
    real = [tokens if text.strip() else 0 for text, tokens in zip(texts, tokens_in, strict=True)]
    joins = max(sum(map(bool, real)) - 1, 0) * counter.count(budget.separator)
    room = max(limit - joins, 0) if limit < whole else 0
    most = [min(room * tokens // max(sum(real), 1), tokens) for tokens in real]
    return Shares(tokens_in, _allowed(texts, most, budget), limit)


def _allowed(texts: Sequence[str], most: Sequence[int], budget: Budget) -> list[int]:
    return [share if text.strip() and budget.threshold is None else 0 for text, share in zip(texts, most, strict=True)]
