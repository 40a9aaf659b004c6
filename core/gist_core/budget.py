"""How much may remain: the ``Budget`` a caller asks for, checked when it is made."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real
from typing import Any, Literal

from gist_core.errors import InvalidBudgetError, TokenizerError
from gist_core.tokens import encoding_name


@dataclass(frozen=True, slots=True)
class Budget:
    r"""A size limit, a score limit, or both.

    Args:
        tokens: At most so many tokens, 0 or more; not together with ``ratio``.
        ratio: At most this share of the input's tokens, above 0 and up to 1, rounded down to whole tokens.
        threshold: Only units whose score is above this number.
        scope: ``"total"``: the limit holds for all texts joined by ``separator``, empty ones left out;
            ``"each"``: it holds for every passage by itself.
        tokenizer: A tiktoken encoding or model name, a Hugging Face tokenizer, or a function from str to int.
        separator: What the texts will be joined with; it costs tokens too.

    Raises:
        InvalidBudgetError: nothing is limited, or a value is impossible.
        TokenizerError: the tokenizer's name is unknown, or it is no tokenizer.

    Example:
        >>> Budget(ratio=0.25).limit(1001)
        250
    """

    tokens: int | None = None
    ratio: float | None = None
    threshold: float | None = None
    scope: Literal["total", "each"] = "total"
    tokenizer: str | Callable[[str], int] | Any = "o200k_base"
    separator: str = "\n\n"

    def __post_init__(self) -> None:
        _check_sizes(self)
        if self.scope not in ("total", "each"):
            raise InvalidBudgetError(f"scope is {self.scope!r}.", hint="Use 'total' or 'each'.")
        if not isinstance(self.separator, str):
            raise InvalidBudgetError(f"separator is {self.separator!r}.", hint="Pass a str.")
        _check_tokenizer(self.tokenizer)

    def limit(self, tokens_in: int) -> int:
        """The number of tokens that may remain of ``tokens_in``; never more than came in."""
        if self.tokens is not None:
            return min(self.tokens, tokens_in)
        return tokens_in if self.ratio is None else math.floor(Fraction(str(self.ratio)) * tokens_in)  # .29 of 100: 29


def _check_sizes(budget: Budget) -> None:
    tokens, ratio, threshold = budget.tokens, budget.ratio, budget.threshold
    if tokens is None and ratio is None and threshold is None:
        raise InvalidBudgetError("The budget limits nothing.", hint="Give tokens=, ratio= or threshold=.")
    if tokens is not None and ratio is not None:
        raise InvalidBudgetError(f"Both tokens={tokens!r} and ratio={ratio!r} are given.", hint="Give one of them.")
    if tokens is not None and (isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 0):
        raise InvalidBudgetError(f"tokens is {tokens!r}.", hint="Pass an int of 0 or more.")
    if ratio is not None and not (_is_finite(ratio) and 0 < ratio <= 1):
        raise InvalidBudgetError(f"ratio is {ratio!r}.", hint="Pass a number above 0 and up to 1.")
    if threshold is not None and not _is_finite(threshold):
        raise InvalidBudgetError(f"threshold is {threshold!r}.", hint="Pass a finite number.")


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _check_tokenizer(tokenizer: object) -> None:
    """Loads nothing; a tokenizer object is accepted by what it can do."""
    if isinstance(tokenizer, str):
        encoding_name(tokenizer)
    elif not callable(tokenizer) and not any(hasattr(tokenizer, name) for name in ("count", "encode")):
        raise TokenizerError(
            f"tokenizer is {tokenizer!r}.",
            hint="Pass a tiktoken encoding or model name, a Hugging Face tokenizer, or a function from str to int.",
        )
