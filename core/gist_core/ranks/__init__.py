"""The rank files of o200k_base and cl100k_base, shipped so that they count on a fresh machine with no network.

They are OpenAI's published files, compressed with xz; the SHA-256 of the decompressed bytes is the one tiktoken
itself checks after its download. tiktoken does the counting.
"""

from __future__ import annotations

import base64
import hashlib
import lzma
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from gist_core.errors import TokenizerError

if TYPE_CHECKING:
    import tiktoken


class Ranks(NamedTuple):
    """How to build one encoding: tiktoken's own pattern and the hash of its rank file."""

    pattern: str
    sha256: str


_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)?"

SHIPPED: dict[str, Ranks] = {
    "o200k_base": Ranks(
        "|".join(
            [
                rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}",
                rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}",
                r"\p{N}{1,3}",
                r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
                r"\s*[\r\n]+",
                r"\s+(?!\S)",
                r"\s+",
            ]
        ),
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
    "cl100k_base": Ranks(
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"
        r"|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
}


@cache
def shipped_encoding(name: str) -> tiktoken.Encoding:
    """The encoding ``name``, one of ``SHIPPED``, built from the files in this folder (about 0.4 s, once a process).

    It has no special tokens: their look-alikes in a text are text.

    Raises:
        TokenizerError: the rank file is damaged.
    """
    import tiktoken

    pattern, sha256 = SHIPPED[name]
    data = lzma.decompress((files(__package__) / f"{name}.tiktoken.xz").read_bytes())
    if hashlib.sha256(data).hexdigest() != sha256:
        raise TokenizerError(f"The rank file of {name!r} is damaged.", hint="Install the package again.")
    lines = (line.split() for line in data.splitlines() if line)
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    return tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
