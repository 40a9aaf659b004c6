"""Records -> training examples of the selective model: a query, its windows, and a label for every token."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from gist_core.metadata import title_of
from gist_core.records import Record, Split, document_split
from gist_core.segment import segments
from gist_core.selective.windows import Windows, clean, read_titles, tokenize, windows

OUTSIDE, EVIDENCE, ANSWER, IGNORED = 0.0, 0.5, 1.0, -1.0
_LABEL_KINDS = {"sentence", "turn", "span"}


@dataclass(frozen=True, slots=True)
class Source:
    """Texts read together (one document, or the turns of one conversation), cut into windows."""

    cut: Windows
    allowed: bool  # may stand among the negatives: not a text of an excluded split


@dataclass(frozen=True, slots=True)
class LabelledWindow:
    """Window ``row`` of ``source``; ``labels`` (L,) over its tokens, ``relevant`` 1 or 0."""

    source: Source
    row: int
    labels: NDArray[np.float32]
    relevant: float

    @property
    def ids(self) -> NDArray[np.int64]:
        """(L,) token ids without special tokens."""
        return self._part(self.source.cut.tokens.ids)

    @property
    def unit(self) -> NDArray[np.int64]:
        """(L,) the unit of each token, numbered over the source."""
        return self._part(self.source.cut.tokens.unit)

    def _part(self, values: NDArray[np.int64]) -> NDArray[np.int64]:
        bounds = self.source.cut.bounds
        return values[bounds[self.row] : bounds[self.row + 1]]


@dataclass(frozen=True, slots=True)
class Example:
    """One question with the windows it is trained on; ``query`` holds token ids without special tokens."""

    query: list[int]
    windows: list[LabelledWindow]


@dataclass(slots=True)
class ExampleBuilder:
    """Builds examples and keeps every tokenised source, since questions share documents.

    Args:
        tokenizer: Of the encoder.
        window_tokens, query_tokens, title_tokens: Longest window, query and title.
        rng: Source of every choice.
        windows_per_example: At most; a question with few windows of its own gets one of another text beside them.
        spare: So many windows without evidence more, to choose among (``training.mining``).
        unanswerable: Share of the questions whose evidence is left out.
        query_free: Share of the examples without their question.
        titled: Share of the questions whose documents are read below their titles, where those differ.
        excluded: No text of these sides is read, but for the evidence of a record that is asked for.
    """

    tokenizer: Tokenizer
    window_tokens: int
    query_tokens: int
    rng: random.Random
    title_tokens: int = 0
    windows_per_example: int = 6
    spare: int = 0
    unanswerable: float = 0.1
    query_free: float = 0.12
    titled: float = 0.5
    excluded: frozenset[Split] = frozenset({"validation", "test"})
    _sources: dict[tuple[str, ...], Source] = field(default_factory=dict)
    _pool: list[Source] = field(default_factory=list)

    def build(self, record: Record) -> Example | None:
        """One example; None where the record has no evidence to learn from."""
        found = [
            self._label(source, record, documents)
            for source, documents in self._sources_of(record)
            if source.allowed or _holds_evidence(record, documents)
        ]
        candidates = [w for group in found for w in group]
        positive = [w for w in candidates if w.relevant != OUTSIDE]
        negative = [w for w in candidates if w.relevant == OUTSIDE]
        if not positive:
            return None
        if self.rng.random() < self.unanswerable:
            positive = []
        chosen = self.rng.sample(positive, min(len(positive), self.windows_per_example // 2))
        most = self.windows_per_example + self.spare
        chosen += self._negatives(record, negative, most - len(chosen) - 1)
        while self._pool and len(chosen) < min(most, len(candidates) + 1):
            chosen.append(self._foreign())
        query = [] if positive and self.rng.random() < self.query_free else self._query(record["query"])
        return Example(query, chosen)

    def _negatives(self, record: Record, found: list[LabelledWindow], room: int) -> list[LabelledWindow]:
        """Half of them the windows that share most words with the question, the rest drawn at random."""
        wanted = np.unique(self._query(record["query"]))
        shared = [np.isin(wanted, w.ids).sum() for w in found]
        order = sorted(range(len(found)), key=lambda i: -shared[i])
        hard, rest = order[: (room + 1) // 2], order[(room + 1) // 2 :]
        return [found[i] for i in hard + self.rng.sample(rest, min(len(rest), room - len(hard)))]

    def _query(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(clean(text), add_special_tokens=False).ids
        return ids[: self.query_tokens - 2]

    def _sources_of(self, record: Record) -> Iterable[tuple[Source, list[Record]]]:
        documents = record["documents"]
        titles = [title_of(d) for d in documents]
        headed = len(set(titles)) > 1 and self.rng.random() < self.titled
        groups = [documents] if documents[0].get("role") else [[d] for d in documents]
        return [(self._source(g, titles[i] if headed else ""), g) for i, g in enumerate(groups)]

    def _source(self, documents: Sequence[Record], title: str) -> Source:
        texts = tuple(d["text"] for d in documents)
        key = (title, *texts)
        if key not in self._sources:
            units = [[s.span for s in segments(t)] for t in texts]
            headed = read_titles([title] * len(texts), self.tokenizer, self.title_tokens)
            cut = windows(tokenize(texts, units, self.tokenizer), self.window_tokens, headed)
            source = Source(cut, document_split(documents[0]) not in self.excluded)
            self._sources[key] = source
            if source.allowed and len(cut):
                self._pool.append(source)
        return self._sources[key]

    def _label(self, source: Source, record: Record, documents: list[Record]) -> list[LabelledWindow]:
        tokens, place = source.cut.tokens, {d["id"]: i for i, d in enumerate(documents)}
        labels = np.zeros(len(tokens.ids), dtype=np.float32)
        evidence = [e for e in record["evidence"] if e["doc"] in place]
        sentences = any(e["kind"] in _LABEL_KINDS for e in record["evidence"])
        for e in sorted(evidence, key=lambda e: e["kind"] == "answer"):
            inside = (tokens.passage == place[e["doc"]]) & (tokens.start < e["end"]) & (tokens.end > e["start"])
            if e["kind"] in _LABEL_KINDS:
                labels[inside] = EVIDENCE
            elif e["kind"] == "answer":
                labels[inside & (labels == EVIDENCE)] = ANSWER
            elif not sentences:
                labels[inside] = IGNORED
        return [self._window(source, row, labels) for row in range(len(source.cut))]

    def _window(self, source: Source, row: int, labels: NDArray[np.float32]) -> LabelledWindow:
        part = labels[source.cut.bounds[row] : source.cut.bounds[row + 1]]
        return LabelledWindow(source, row, part, float((part != OUTSIDE).any()))

    def _foreign(self) -> LabelledWindow:
        source = self.rng.choice(self._pool)
        row = self.rng.randrange(len(source.cut))
        return self._window(source, row, np.zeros(len(source.cut.tokens.ids), dtype=np.float32))


def joined(record: Record, other: Record) -> Record:
    """Two questions over the same documents as one that asks both."""
    query = f"{record['query']} {other['query']}"
    return record | {"query": query, "evidence": [*record["evidence"], *other["evidence"]]}


def _holds_evidence(record: Record, documents: list[Record]) -> bool:
    gold = {e["doc"] for e in record["evidence"]}
    return any(d["id"] in gold for d in documents)
