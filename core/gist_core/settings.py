"""The settings both framework adapters share: flat fields, checked at construction, and what they build."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, get_args

from gist_core.budget import Budget
from gist_core.compressor import TextCompressor, check_pattern, check_timeout
from gist_core.device import check_device, resolve_device
from gist_core.errors import InvalidBudgetError, InvalidInputError
from gist_core.fallback import FallbackCompressor, OnError, tell
from gist_core.keep import resolve_keep
from gist_core.memory.policy import MemoryPolicy, OnFailure
from gist_core.metadata import understood
from gist_core.passage import Passage
from gist_core.tokens import token_counter

if TYPE_CHECKING:
    from gist_core.memory.archive import Archive
    from gist_core.memory.conversations import Conversations

DEFAULT_RATIO = 0.25
logger = logging.getLogger(__name__)
_LEADING_FLAGS = re.compile(r"\(\?[aiLmsux]+\)")


def check_threshold(threshold: float | None) -> None:
    """Raise unless it can be held against a checkpoint's scores; a compressor of one's own may have others.

    Raises:
        InvalidBudgetError: It is below 0, or 1 or above.
    """
    if threshold is not None and not 0 <= threshold < 1:
        raise InvalidBudgetError(
            f"threshold is {threshold!r}.", hint="Scores are from 0 to 1: pass a number from 0 and below 1."
        )


@dataclass(frozen=True, kw_only=True)
class _Settings:
    @classmethod
    def of(cls, adapter: object) -> Self:
        """The settings an adapter holds as attributes of the same names."""
        return cls(**{field.name: getattr(adapter, field.name) for field in fields(cls)})


@dataclass(frozen=True, kw_only=True)
class CompressionSettings(_Settings):
    """How an adapter compresses.

    Args:
        model: ``"default"``, a local folder, a hub id, or a TextCompressor to share.
        tokens: Most tokens kept.
        ratio: Largest share of the tokens kept; 0.25 if neither tokens, ratio nor threshold is given.
        threshold: Only what scores above it is kept; scores are from 0 up to 1.
        scope: ``"total"``: the size is for all texts together; ``"each"``: for every text.
        tokenizer: What counts the tokens: an encoding or model name, a HF tokenizer, or a ``str -> int``.
        separator: What the framework puts between the texts; counted.
        keep: Regular expressions whose matches must stay.
        device: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:1"``.
        on_error: What a failure at run time gives: ``"truncate"``, ``"original"`` or ``"raise"``.
        drop_empty: Leave out texts of which nothing was kept.
        allow_empty: With a threshold, keep nothing at all where nothing scores above it; else the best is kept.
        timeout: Seconds per call; None for no limit.

    Raises:
        InvalidInputError: A value is unusable; InvalidBudgetError, TokenizerError and DeviceError are kinds of it.
    """

    model: str | os.PathLike[str] | TextCompressor = "default"
    tokens: int | None = None
    ratio: float | None = None
    threshold: float | None = None
    scope: Literal["total", "each"] = "total"
    tokenizer: Any = "o200k_base"
    separator: str = "\n\n"
    keep: Sequence[str | re.Pattern[str]] = ()
    device: str = "auto"
    on_error: OnError = "truncate"
    drop_empty: bool = True
    allow_empty: bool = False
    timeout: float | None = None

    def __post_init__(self) -> None:
        _check_model(self.model)
        check_device(self.device)
        check_timeout(self.timeout)
        if self.on_error not in get_args(OnError):
            raise InvalidInputError(
                f"on_error is {self.on_error!r}.", hint=f"Choose one of {', '.join(map(repr, get_args(OnError)))}."
            )
        object.__setattr__(self, "keep", pattern_texts(self.keep))
        if self.tokenizer is None:
            raise InvalidInputError(
                "tokenizer is None.", hint="A tokenizer given as an object is not saved: pass it again when loading."
            )
        budget = self.budget()
        check_threshold(self.threshold)
        if isinstance(budget.tokenizer, str):
            token_counter(budget.tokenizer)  # loads it, so that a name that needs the network fails here

    def budget(self) -> Budget:
        """The budget of every call."""
        sizes = (self.tokens, self.ratio, self.threshold)
        return Budget(
            tokens=self.tokens,
            ratio=DEFAULT_RATIO if sizes == (None, None, None) else self.ratio,
            threshold=self.threshold,
            scope=self.scope,
            tokenizer=self.tokenizer,
            separator=self.separator,
        )

    def passage(self, name: str, text: str, metadata: Mapping[str, Any]) -> Passage:
        """A text of the framework's, with what of its metadata means something.

        ``metadata["keep"]`` that is no list of spans of this text is left out, with a GistWarning: it may be a field of
        the user's own, or come from a longer text that a splitter has cut.

        Raises:
            InvalidInputError: A span lies outside the text, and ``on_error`` is ``"raise"``.
        """
        found = understood(metadata)
        try:
            resolve_keep([Passage(name, text, {"keep": metadata.get("keep")})], ())
        except InvalidInputError as error:
            if self.on_error == "raise" and "keep" in found:
                raise
            found.pop("keep", None)
            tell(logger, f"Spans to keep are left out: {error}", error, stacklevel=4)
        return Passage(name, text, found)

    def build(self) -> TextCompressor:
        """The compressor, with its fallback and timeout; its weights load at first use.

        Raises:
            DeviceError: A device was asked for by name that is not here; only then torch is imported now.
            GistError: The model's name, folder or configuration is unusable.
        """
        inner = self.model if isinstance(self.model, TextCompressor) else self._load()
        if self.on_error == "raise" and self.timeout is None:
            return inner
        return FallbackCompressor(inner, self.on_error, self.timeout)

    def builds_as(self, other: CompressionSettings) -> bool:
        """Whether ``other.build()`` would give the like of ``self.build()``."""
        return _made_from(self) == _made_from(other)

    def _load(self) -> TextCompressor:
        from gist_core.loading import load_compressor

        if self.device not in ("auto", "cpu"):
            resolve_device(self.device)
        return load_compressor(str(self.model), device=self.device, on_error="raise")


class MemoryOptions(TypedDict, total=False):
    """The settings of ``MemorySettings`` as keyword arguments of an adapter."""

    model: str | os.PathLike[str] | TextCompressor
    high_water: int
    low_water: int | None
    keep_last: int
    tokenizer: Any
    keep: Sequence[str | re.Pattern[str]]
    device: str
    on_error: OnFailure


@dataclass(frozen=True, kw_only=True)
class MemorySettings(_Settings):
    """How an adapter keeps conversations small.

    Args:
        model: ``"default"``, a local folder, a hub id, or a TextCompressor to share.
        high_water: Tokens above which a conversation is compacted.
        low_water: Tokens it is compacted to; half of ``high_water`` if not given.
        keep_last: So many messages at the end stay word for word.
        tokenizer: What counts the tokens: an encoding or model name, a HF tokenizer, or a ``str -> int``.
        keep: Regular expressions; what they match in an old message goes into its gist first.
        device: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"`` or ``"cuda:1"``.
        on_error: What a failure at run time gives: ``"original"``, the messages as they were, with a GistWarning; or
            ``"raise"``.

    Raises:
        InvalidInputError: A value is unusable; TokenizerError and DeviceError are kinds of it.
    """

    model: str | os.PathLike[str] | TextCompressor = "default"
    high_water: int = 8_000
    low_water: int | None = None
    keep_last: int = 6
    tokenizer: Any = "o200k_base"
    keep: Sequence[str | re.Pattern[str]] = ()
    device: str = "auto"
    on_error: OnFailure = "original"

    def __post_init__(self) -> None:
        _check_model(self.model)
        check_device(self.device)
        object.__setattr__(self, "keep", pattern_texts(self.keep))
        self.policy()

    @classmethod
    def from_options(cls, options: MemoryOptions) -> Self:
        """The settings of an adapter's keyword arguments.

        Raises:
            InvalidInputError: One of them is unknown, or a value is unusable.
        """
        known = [field.name for field in fields(cls)]
        if unknown := [name for name in options if name not in known]:
            near = get_close_matches(unknown[0], known, n=1, cutoff=0.4)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise InvalidInputError(f"There is no setting {unknown[0]!r}.", hint=f"{hint}There are {', '.join(known)}.")
        return cls(**options)

    def policy(self) -> MemoryPolicy:
        """The policy of every conversation."""
        return MemoryPolicy(
            high_water=self.high_water,
            low_water=self.low_water,
            keep_last=self.keep_last,
            tokenizer=self.tokenizer,
            keep=self.keep,
            on_error=self.on_error,
        )

    def compressor(self) -> TextCompressor:
        """The compressor; its weights load at first use, and its failures are the policy's to answer.

        Raises:
            GistError: The model's name, folder or configuration is unusable.
        """
        return CompressionSettings(model=self.model, device=self.device, on_error="raise").build()

    def conversations(self, archive: Archive | None = None) -> Conversations:
        """A compactor for each conversation.

        Args:
            archive: Where the originals are kept; in memory if not given.

        Raises:
            GistError: The model's name, folder or configuration is unusable.
        """
        from gist_core.memory.conversations import Conversations

        return Conversations(self.policy(), compressor=self.compressor(), archive=archive)


def not_bool(value: Any) -> Any:
    """For pydantic, which takes True for 1: the value, unless it is a truth value.

    Raises:
        ValueError: It is one.
    """
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is no number")
    return value


def pattern_texts(keep: Iterable[str | re.Pattern[str]]) -> tuple[str, ...]:
    """The patterns as text that can be saved; a compiled pattern's flags move into it.

    Raises:
        InvalidInputError: An item is no regular expression.
    """
    if isinstance(keep, str | bytes) or not isinstance(keep, Iterable):
        raise InvalidInputError(f"keep is {keep!r}.", hint="Pass a list, also for a single pattern.")
    return tuple(_pattern_text(item) for item in keep)


def saved_model(model: str | os.PathLike[str] | TextCompressor) -> str | None:
    """What is saved of a setting ``model``: the name it loads by; None for an object that has none."""
    from gist_core.loading import name_of

    return name_of(model) if isinstance(model, TextCompressor) else str(model)


def _pattern_text(item: str | re.Pattern[str]) -> str:
    if isinstance(item, tuple):
        raise InvalidInputError(
            f"keep holds the span {item!r}, which fits one text only.",
            hint="Put spans into the text's metadata['keep'].",
        )
    pattern = check_pattern(item)
    if re.compile(pattern.pattern).flags == pattern.flags:
        return pattern.pattern
    letters = "".join(letter for letter in "aimsx" if pattern.flags & re.RegexFlag[letter.upper()])
    return f"(?{letters})" + _LEADING_FLAGS.sub("", pattern.pattern, count=1)


def _check_model(model: object) -> None:
    if isinstance(model, os.PathLike) or (isinstance(model, str) and model.strip()):
        return
    if isinstance(model, str) or not isinstance(model, TextCompressor):
        again = "" if model is not None else "; one that load_compressor did not make is not saved: pass it again"
        raise InvalidInputError(
            f"model is {model!r}.", hint=f"Pass 'default', a folder, a hub id or a TextCompressor{again}."
        )


def _made_from(settings: CompressionSettings) -> tuple[object, ...]:
    model = settings.model if isinstance(settings.model, TextCompressor) else str(settings.model)
    return (model, settings.device, settings.on_error, settings.timeout)
