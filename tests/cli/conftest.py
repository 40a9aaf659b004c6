"""A compressor small enough to predict: it keeps the sentences that share a word with the query."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from gist_core.cli import app
from gist_core.passage import Compressed, Passage, Span, Usage, hash_text, render


class WordMatcher:
    """Records its last call in ``calls``; raises ``error`` if that is set."""

    model_id = "word-matcher@1"

    def __init__(self) -> None:
        self.calls: list[SimpleNamespace] = []
        self.error: BaseException | None = None

    def compress(self, passages: Sequence[Passage], *, query=None, budget, keep=(), allow_empty=False):
        self.calls.append(SimpleNamespace(passages=passages, query=query, budget=budget, keep=list(keep)))
        if self.error:
            raise self.error
        return [self._one(passage, set((query or "").lower().split())) for passage in passages]

    def _one(self, passage: Passage, wanted: set[str]) -> Compressed:
        kept = tuple(
            Span(*m.span()) for m in re.finditer(r"\S[^.]*\.", passage.text) if wanted & set(m[0][:-1].lower().split())
        )
        text = render(passage.text, kept)
        usage = Usage(len(passage.text.split()), len(text.split()), 12.0)
        return Compressed(passage.id, text, kept, 0.5, usage, hash_text(passage.text), self.model_id)


@pytest.fixture
def matcher(monkeypatch: pytest.MonkeyPatch) -> WordMatcher:
    made = WordMatcher()
    monkeypatch.setattr("gist_core.cli.compress.load_compressor", lambda *_args, **_kwargs: made)
    return made


@pytest.fixture
def gist(matcher: WordMatcher) -> Callable[..., Result]:
    """Runs ``gist`` with the small compressor."""

    def run(*args: object, stdin: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, [str(arg) for arg in args], input=stdin)

    return run
