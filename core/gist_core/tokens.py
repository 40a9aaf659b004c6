"""Counting tokens: one small interface over tiktoken encodings, Hugging Face tokenizers and any ``str -> int``.

Counts are of plain text: no special tokens are added, look-alikes such as ``<|endoftext|>`` are text, and a lone
surrogate counts as U+FFFD. o200k_base and cl100k_base need no network; another name may, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from operator import index
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from weakref import WeakKeyDictionary

from gist_core.errors import TokenizerError
from gist_core.ranks import SHIPPED, shipped_encoding

if TYPE_CHECKING:
    import tiktoken
    import tokenizers
    from transformers import PreTrainedTokenizerBase

_SURROGATE = re.compile("[\ud800-\udfff]")
# tiktoken's regex engine aborts on a run of a million whitespace characters; such a run is counted in parts.
_LONGEST_BLANK = 900_000
_BLANK_RUN = re.compile(rf"\s{{{_LONGEST_BLANK}}}")
_SAME_RANKS = {"o200k_harmony": "o200k_base"}  # differs in special tokens only


@runtime_checkable
class TokenCounter(Protocol):
    """Counts tokens of whole texts. ``is_callable`` is True for a user's function, which may be slow to call."""

    name: str
    is_callable: bool

    def count(self, text: str) -> int:
        """Number of tokens of ``text``."""

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text."""


def token_counter(
    spec: str | Callable[[str], int] | PreTrainedTokenizerBase | tokenizers.Tokenizer | TokenCounter,
) -> TokenCounter:
    """The counter for a tiktoken encoding or model name, a Hugging Face tokenizer, or a ``str -> int``.

    Example:
        >>> token_counter("o200k_base").count("hello world")
        2

    Raises:
        TokenizerError: the name is unknown or cannot be loaded, or ``spec`` is none of these.
    """
    if isinstance(spec, str):
        return _named(encoding_name(spec))
    if isinstance(spec, TokenCounter):
        return spec
    if _is_a(spec, "tiktoken", "Encoding"):
        return TiktokenCounter(spec)  # type: ignore[arg-type]
    if _is_a(spec, "tokenizers", "Tokenizer"):
        return HuggingFaceCounter(spec, name=type(spec).__name__)
    if _is_a(spec, "transformers", "PreTrainedTokenizerBase"):
        return _transformers_counter(spec)
    if callable(spec):
        return CallableCounter(spec)
    raise TokenizerError(
        f"A tokenizer cannot be of type {type(spec).__name__}.",
        hint="Pass a tiktoken encoding or model name, a Hugging Face tokenizer, or a function from str to int.",
    )


def encoding_name(name: str) -> str:
    """The tiktoken encoding a name stands for; a model name is mapped to its encoding. Loads nothing.

    Raises:
        TokenizerError: tiktoken knows no such encoding or model.
    """
    if name in SHIPPED:
        return name
    import tiktoken

    if name in tiktoken.list_encoding_names():
        return name
    try:
        return tiktoken.encoding_name_for_model(name)
    except KeyError:
        raise TokenizerError(
            f"Unknown tokenizer {name!r}.",
            hint="Pass 'o200k_base', 'cl100k_base', a model name such as 'gpt-4o', "
            "or load a Hugging Face tokenizer yourself and pass the object.",
        ) from None


class TiktokenCounter:
    """Counts with a tiktoken encoding; special tokens are text."""

    is_callable = False

    def __init__(self, encoding: tiktoken.Encoding) -> None:
        self.name = encoding.name
        self._encode = encoding.encode_ordinary

    def count(self, text: str) -> int:
        """Number of tokens of ``text``."""
        if len(text) >= _LONGEST_BLANK and _BLANK_RUN.search(text):
            return sum(len(self._encode(part)) for part in _cut_blank_runs(text))
        return len(self._encode(text))

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text."""
        return [self.count(text) for text in texts]


class HuggingFaceCounter:
    """Counts with a ``tokenizers.Tokenizer``: a private copy, without truncation, padding and special tokens."""

    is_callable = False

    def __init__(self, tokenizer: Any, *, name: str) -> None:
        self.name = name
        self._tokenizer = _private_copy(tokenizer)

    def count(self, text: str) -> int:
        """Number of tokens of ``text``."""
        return self.count_many([text])[0]

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text."""
        clean = [_without_surrogates(text) for text in texts]
        return [len(found) for found in self._tokenizer.encode_batch_fast(clean, add_special_tokens=False)]


class CallableCounter:
    """Counts with a user's deterministic ``str -> int``; every answer is checked.

    Raises:
        TokenizerError: on counting, if the function fails or its answer is not a whole number of 0 or more.
    """

    is_callable = True

    def __init__(self, function: Callable[[str], int], *, name: str = "") -> None:
        self.name = name or getattr(function, "__qualname__", type(function).__name__)
        self._function = function

    def count(self, text: str) -> int:
        """Number of tokens of ``text``."""
        try:
            answer = self._function(_without_surrogates(text))
        except Exception as error:
            raise TokenizerError(
                f"The tokenizer {self.name} failed: {error!r}.", hint="It must count any text."
            ) from error
        return self._checked(answer)

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text, one call each."""
        return [self.count(text) for text in texts]

    def _checked(self, answer: object) -> int:
        try:
            number = -1 if isinstance(answer, bool) else index(answer)  # type: ignore[arg-type]
        except TypeError:
            number = -1
        if number < 0:
            raise TokenizerError(
                f"The tokenizer {self.name} answered {answer!r}.",
                hint="It must return the number of tokens of a text, an int of 0 or more.",
            )
        return number


@lru_cache(maxsize=32)
def _named(name: str) -> TokenCounter:
    name = _SAME_RANKS.get(name, name)
    if name in SHIPPED:
        return TiktokenCounter(shipped_encoding(name))
    import tiktoken

    try:
        return TiktokenCounter(tiktoken.get_encoding(name))
    except Exception as error:
        raise TokenizerError(
            f"tiktoken could not load the encoding {name!r}: {error!r}.",
            hint="Its rank file is downloaded at first use: check the network or set TIKTOKEN_CACHE_DIR; "
            "'o200k_base' and 'cl100k_base' need no network.",
        ) from error


def _is_a(value: object, package: str, class_name: str) -> bool:
    """Whether a class of that name and package is among the ancestors; imports nothing."""
    return any(c.__name__ == class_name and c.__module__.split(".")[0] == package for c in type(value).__mro__)


def _transformers_counter(tokenizer: Any) -> TokenCounter:
    """A fast tokenizer by its Rust backend; a slow one through its own ``tokenize``, as text only."""
    name = getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if _is_a(backend, "tokenizers", "Tokenizer"):
        return HuggingFaceCounter(backend, name=name)
    counter = CallableCounter(lambda text: len(tokenizer.tokenize(text, split_special_tokens=True)), name=name)
    counter.is_callable = False  # local and cheap: it may be called on every unit
    return counter


_copies: WeakKeyDictionary[Any, tuple[str, Any]] = WeakKeyDictionary()


def _private_copy(tokenizer: Any) -> Any:
    """A copy, the same for every call until the tokenizer is changed: a large one takes half a second to copy."""
    from tokenizers import Tokenizer

    before, copy = _copies.get(tokenizer, ("", None))
    try:
        now = _state(tokenizer)
        if now == before:
            return copy
        copy = Tokenizer.from_str(tokenizer.to_str())
    except Exception as error:
        raise TokenizerError(
            f"The tokenizer cannot be copied: {error!r}.",
            hint="Tokenizers with parts written in Python must be passed as a function from str to int.",
        ) from error
    copy.no_truncation()
    copy.no_padding()
    copy.encode_special_tokens = True
    _copies[tokenizer] = now, copy
    return copy


def _state(tokenizer: Any) -> str:
    """What is cheap to tell of all that counts depend on; of the vocabulary its beginning and its size."""
    parts = (tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.model, tokenizer.get_added_tokens_decoder())
    return f"{parts!r} {tokenizer.get_vocab_size()}"


def _without_surrogates(text: str) -> str:
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def _cut_blank_runs(text: str) -> list[str]:
    cuts = [0, *(found.end() for found in _BLANK_RUN.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]
