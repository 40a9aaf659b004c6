"""What every kind of compressor is to its callers, and the checks of a call that all kinds share."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from gist_core.budget import Budget
from gist_core.errors import InvalidInputError
from gist_core.passage import Passage, Span

if TYPE_CHECKING:
    from gist_core.keep import KeepItem
    from gist_core.passage import Compressed


@runtime_checkable
class TextCompressor(Protocol):
    """Passages in, as many results out, in the same order, each with its passage's id."""

    @property
    def model_id(self) -> str:
        """Checkpoint and version; results carry it as ``model``."""

    def compress(
        self,
        passages: Sequence[Passage],
        *,
        query: str | None = None,
        budget: Budget,
        keep: Sequence[KeepItem] = (),
        allow_empty: bool = False,
    ) -> list[Compressed]:
        """Compresses the passages together under one budget.

        Args:
            passages: What to compress; never changed.
            query: What the reader wants to know; None compresses for no question in particular.
            budget: How much may stay.
            keep: Patterns (all passages) and spans (a single passage) that must stay.
            allow_empty: With a threshold, nothing at all may be kept.

        Raises:
            InvalidInputError: An argument is unusable.
            BudgetTooSmallError: ``keep`` does not fit into the budget.
            CompressionError: The model failed.
        """

    async def acompress(
        self,
        passages: Sequence[Passage],
        *,
        query: str | None = None,
        budget: Budget,
        keep: Sequence[KeepItem] = (),
        allow_empty: bool = False,
        timeout: float | None = None,
    ) -> list[Compressed]:
        """As ``compress``, off the event loop; raises CompressionTimeoutError after ``timeout`` seconds."""


def check_call(passages: Sequence[Passage], query: str | None, budget: Budget, keep: Sequence[KeepItem] = ()) -> None:
    """Checks the arguments of a call before any work is done.

    Raises:
        InvalidInputError: The message names the value and how to mend it.
    """
    _check_passages(passages)
    if query is not None and not isinstance(query, str):
        raise InvalidInputError(f"The query is of type {type(query).__name__}.", hint="Pass a str or None.")
    if not isinstance(budget, Budget):
        raise InvalidInputError(
            f"The budget is of type {type(budget).__name__}.", hint="Pass Budget(tokens=500) or Budget(ratio=0.25)."
        )
    _check_keep(keep)


def check_timeout(timeout: float | None) -> None:
    """Raises InvalidInputError unless ``timeout`` is None or a positive number of seconds."""
    if timeout is None:
        return
    number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not number or not 0 < timeout <= threading.TIMEOUT_MAX:
        raise InvalidInputError(
            f"timeout is {timeout!r}.",
            hint=f"Pass a positive number of seconds, up to {threading.TIMEOUT_MAX:.0f}, or None for no limit.",
        )


def check_pattern(item: object) -> re.Pattern[str]:
    """The compiled regular expression of one keep item.

    Raises:
        InvalidInputError: ``item`` is no text pattern, or does not compile.
    """
    if isinstance(item, re.Pattern) and isinstance(item.pattern, str):
        return item
    if not isinstance(item, str):
        raise InvalidInputError(
            f"keep holds {item!r}.", hint="Pass regular expressions: text, or patterns compiled from text."
        )
    try:
        return re.compile(item)
    except (re.error, RecursionError, OverflowError) as error:
        raise InvalidInputError(
            f"keep holds {item!r}, which is no regular expression ({error}).", hint="For plain text use re.escape(...)."
        ) from error


def _check_passages(passages: object) -> None:
    if isinstance(passages, str | bytes) or not isinstance(passages, Sequence):
        raise InvalidInputError(
            f"The passages are of type {type(passages).__name__}.", hint="Pass a list of Passage(id=..., text=...)."
        )
    for index, passage in enumerate(passages):
        if not isinstance(passage, Passage):
            raise InvalidInputError(
                f"passages[{index}] is of type {type(passage).__name__}.", hint="Pass Passage(id=..., text=...)."
            )


def _check_keep(keep: object) -> None:
    if isinstance(keep, str | bytes | Span) or not isinstance(keep, Sequence):
        raise InvalidInputError(f"keep is {keep!r}.", hint="Pass a list, also for a single pattern or span.")
    for item in keep:
        if not isinstance(item, Span):
            check_pattern(item)
