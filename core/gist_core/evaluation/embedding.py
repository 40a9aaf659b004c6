"""all-MiniLM-L6-v2 for the peers that embed: what was embedded for one rate is remembered for the next."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gist_core.encoders import default_encoder
from gist_core.errors import MissingExtraError

REMEMBERED = 20_000
"""Texts; more than one case's, so that a case is embedded once whatever the number of rates."""


class RememberingEncoder:
    """all-MiniLM-L6-v2 through sentence-transformers; loads at the first text.

    Raises:
        MissingExtraError: At the first text, if the model or sentence-transformers is not installed.
    """

    def __init__(self) -> None:
        self._model: Any = None
        self._known: dict[str, NDArray[np.float32]] = {}

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, 384) embeddings of unit length."""
        new = list(dict.fromkeys(t for t in texts if t not in self._known))
        if len(self._known) + len(new) > REMEMBERED:
            self._known.clear()
            new = list(dict.fromkeys(texts))
        if new:
            found = self._loaded().encode(new, batch_size=64, normalize_embeddings=True, show_progress_bar=False)
            self._known.update(zip(new, found, strict=True))
        return np.stack([self._known[t] for t in texts]) if texts else np.zeros((0, 384), dtype=np.float32)

    def _loaded(self) -> Any:
        if self._model is None:
            try:
                from sentence_transformers import SentenceTransformer
            except ImportError as error:
                raise MissingExtraError(
                    "sentence-transformers is not installed.", hint="pip install sentence-transformers"
                ) from error
            self._model = SentenceTransformer(str(default_encoder()), device="cpu")
        return self._model


@cache
def shared_encoder() -> RememberingEncoder:
    """The one that all systems share, so that no text is embedded twice."""
    return RememberingEncoder()
