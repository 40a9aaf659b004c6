"""A deterministic embedding without a model: hashed words, normalised."""

from __future__ import annotations

import math
import re
import zlib

SIZE = 256


def embed(text: str) -> list[float]:
    vector = [0.0] * SIZE
    for word in re.findall(r"\w{4,}", text.lower()):
        vector[zlib.crc32(word.encode()) % SIZE] += 1.0
    norm = math.sqrt(sum(x * x for x in vector)) or 1.0
    return [x / norm for x in vector]
