"""Every error this project raises on purpose: one tree, each with a hint that says how to mend it."""

from __future__ import annotations


class GistError(Exception):
    """Base of all errors of this project.

    Args:
        message: What is wrong; names the value.
        hint: How to mend it.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(cls: type[GistError], message: str, hint: str) -> GistError:
    """Errors cross process boundaries (pools, Ray): keep the hint when unpickled."""
    return cls(message, hint=hint)


class InvalidInputError(GistError, ValueError):
    """A value given by the caller is unusable: a passage, a query, a keep pattern, a setting."""


class InvalidBudgetError(InvalidInputError):
    """A budget contradicts itself or names an impossible size."""


class BudgetTooSmallError(GistError):
    """What the caller asked to keep does not fit into the budget."""


class TokenizerError(InvalidInputError):
    """A tokenizer cannot be found, loaded or called."""


class CheckpointError(GistError):
    """A checkpoint is missing, damaged, or of an unknown kind or format version."""


class MissingExtraError(GistError, ImportError):
    """An optional dependency is not installed."""


class DeviceError(InvalidInputError):
    """The device asked for is unknown or absent."""


class CompressionTimeoutError(GistError, TimeoutError):
    """A call did not finish within its timeout."""


class CompressionError(GistError):
    """The model failed while compressing."""


class ArchiveError(GistError):
    """An archive of turns cannot be opened, read or written."""
