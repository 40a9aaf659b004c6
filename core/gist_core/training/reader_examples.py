"""Records -> windows for the reader: a question, a context as compressors leave it, and where the answer stands.

A context is packed from the gold passage and others among which it may stand at any place, joined as a prompt joins
passages. In half of the contexts sentences are dropped at random, never one of the answer's, since the reader is to
read compressed text. A share of the windows holds no answer; there the target is [CLS].
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from gist_core.passage import Span, render
from gist_core.records import Record, Split, document_split, read_records, split_of
from gist_core.segment import segments

READER_MIX: dict[str, int] = {
    "nq20_even": 3_000,
    "nolicence_squadshifts_new_wiki_10doc": 4_000,
    "nolicence_squadshifts_new_wiki": 6_000,
    "nolicence_squadshifts_reddit": 4_000,
    "nolicence_squadshifts_amazon_reviews": 3_000,
    "policyqa": 1_500,
    "qed_dev": 1_500,
    "covidqa": 1_500,
    "friendsqa": 1_500,
}
"""Windows of each set; only sets whose licence lets weights be shipped, and whose answers stand in the text."""

SEPARATOR = "\n\n"
_LONGEST_SEARCH = 8_000  # characters around the answer that are looked at: more than any window holds


@dataclass(frozen=True, slots=True)
class ReaderWindow:
    """Token ids, and the tokens at which the answer starts and ends (inclusive); both 0 where there is none."""

    ids: list[int]
    context_start: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Text:
    """A context and where the answer stands in it; None if it does not."""

    context: str
    answer: Span | None


@dataclass(slots=True)
class WindowBuilder:
    """Builds windows of one side of the data.

    Args:
        tokenizer: A fast BERT tokenizer of transformers.
        rng: Source of every choice.
        window_tokens: Longest window, question included.
        unanswerable: Share of the windows without an answer.
        shortened: Share of the contexts with sentences dropped.
        excluded: No text of these sides is read.
    """

    tokenizer: Any
    rng: random.Random
    window_tokens: int
    unanswerable: float = 0.15
    shortened: float = 0.5
    excluded: frozenset[Split] = frozenset({"validation", "test"})
    _foreign: list[str] = field(default_factory=list)

    def build(self, record: Record) -> ReaderWindow | None:
        """The window of a record; None if no answer stands in it, or none that is whole tokens."""
        gold = answer_spans(record)
        if not gold:
            return None
        document, answer = self.rng.choice(gold)
        text = self._pack(record, document, answer, with_answer=self.rng.random() >= self.unanswerable)
        if text is None or (text.answer is None and _mentions(text.context, record["answers"])):
            return None
        return self._window(record["query"], text)

    def _pack(self, record: Record, document: Record, answer: Span, *, with_answer: bool) -> Text | None:
        if document.get("role"):  # a conversation: its turns in their order, those around the answer
            return self._conversation(record, document, answer, with_answer=with_answer)
        others = [d["text"] for d in record["documents"] if d is not document and self._allowed(d)]
        others = others or self._some_foreign()
        self._remember(document["text"])
        chosen = self.rng.sample(others, min(len(others), self.rng.randrange(5)))
        parts = [part for part in (self._shortened(t, None)[0] for t in chosen) if part]
        if not with_answer:
            return Text(SEPARATOR.join(parts), None) if parts else None
        body, found = self._shortened(document["text"], answer)
        if found is None:
            return None
        at = self.rng.randrange(len(parts) + 1)
        before = "".join(part + SEPARATOR for part in parts[:at])
        context = before + SEPARATOR.join([body, *parts[at:]])
        return Text(context, Span(found.start + len(before), found.end + len(before)))

    def _conversation(self, record: Record, document: Record, answer: Span, *, with_answer: bool) -> Text | None:
        turns = [d for d in record["documents"] if with_answer or d is not document]
        if self.rng.random() < self.shortened:
            turns = [d for d in turns if d is document or self.rng.random() < 0.5]
        context, found = "", None
        for turn in turns:
            context += SEPARATOR if context else ""
            if turn is document:
                found = Span(len(context) + answer.start, len(context) + answer.end)
            context += turn["text"]
        return Text(context, found) if context else None

    def _shortened(self, text: str, answer: Span | None) -> tuple[str, Span | None]:
        """The text, or a random half or so of its sentences; the answer's place in what is left."""
        if answer and len(text) > _LONGEST_SEARCH:
            low = max(0, answer.start - self.rng.randrange(_LONGEST_SEARCH // 2))
            text, answer = text[low : low + _LONGEST_SEARCH], Span(answer.start - low, answer.end - low)
        if self.rng.random() >= self.shortened:
            return text, answer
        share = self.rng.uniform(0.1, 0.9)
        kept = [s.span for s in segments(text) if _touches(s.span, answer) or self.rng.random() < share]
        if answer is None or not kept:
            return render(text, kept), None
        wanted = text[answer.start : answer.end]
        before = render(text, [Span(s.start, min(s.end, answer.start)) for s in kept if s.start < answer.start])
        short = render(text, kept)
        at = short.find(wanted, len(before))
        return short, Span(at, at + len(wanted)) if at >= 0 else None

    def _window(self, query: str, text: Text) -> ReaderWindow | None:
        question = self.tokenizer(query, add_special_tokens=False, truncation=True, max_length=64)["input_ids"]
        read = self.tokenizer(text.context, add_special_tokens=False, return_offsets_mapping=True)
        ids, offsets = read["input_ids"], read["offset_mapping"]
        room = self.window_tokens - len(question) - 3
        if text.answer is None:
            first, last, low = 0, 0, self.rng.randint(0, max(0, len(ids) - room))
        else:
            first, last = token_span(offsets, text.answer)
            if last - first >= room or not _whole(text.context, text.answer, offsets[first][0], offsets[last][1]):
                return None
            low = self.rng.randint(max(0, last + 1 - room), min(first, max(0, len(ids) - room)))
        cls, sep = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        head = [cls, *question, sep]
        window = [*head, *ids[low : low + room], sep]
        shift = len(head) - low
        start, end = (first + shift, last + shift) if text.answer else (0, 0)
        return ReaderWindow(window, len(head), start, end)

    def _allowed(self, document: Record) -> bool:
        return document_split(document) not in self.excluded

    def _some_foreign(self) -> list[str]:
        return self.rng.sample(self._foreign, min(len(self._foreign), 5))

    def _remember(self, text: str) -> None:
        """Texts of records already seen are the other passages of those that have only one."""
        if len(text) <= _LONGEST_SEARCH:
            self._foreign = [*self._foreign[-199:], text]


def build_windows(data: Path, builder: WindowBuilder, split: Split, mix: dict[str, int]) -> list[ReaderWindow]:
    """Windows of one side of every set of the mix; a small set is gone through again with new contexts.

    Raises:
        InvalidInputError: A set is not in the folder.
    """
    return [w for name, count in mix.items() for w in islice(_windows(data, name, builder, split, count), count)]


def answer_spans(record: Record) -> list[tuple[Record, Span]]:
    """Where the answers stand: spans marked as answers, else (in conversations) the answer's text in marked turns."""
    documents = {d["id"]: d for d in record["documents"]}
    marked = [(documents[e["doc"]], Span(e["start"], e["end"])) for e in record["evidence"] if e["kind"] == "answer"]
    if marked:
        return marked
    found = []
    for e in record["evidence"]:
        text = documents[e["doc"]]["text"]
        for answer in record["answers"]:
            at = text.find(answer, e["start"], e["end"]) if answer.strip() else -1
            if at >= 0:
                found.append((documents[e["doc"]], Span(at, at + len(answer))))
    return found


def token_span(offsets: Sequence[tuple[int, int]], answer: Span) -> tuple[int, int]:
    """The first and the last token that touch the answer; (0, 0) if none does."""
    inside = [i for i, (start, end) in enumerate(offsets) if start < answer.end and end > answer.start]
    return (inside[0], inside[-1]) if inside else (0, 0)


def _windows(data: Path, name: str, builder: WindowBuilder, split: Split, count: int) -> Iterator[ReaderWindow]:
    records = [r for r in read_records(data, name) if r["query"] and r["evidence"] and split_of(r) == split]
    random.Random(f"reader-{name}").shuffle(records)
    for record in records * (count // max(len(records), 1) + 2):
        window = builder.build(record)
        if window is not None:
            yield window


def _touches(span: Span, answer: Span | None) -> bool:
    return answer is not None and span.start < answer.end and span.end > answer.start


def _mentions(context: str, answers: Sequence[str]) -> bool:
    return any(answer.lower() in context.lower() for answer in answers)


def _whole(context: str, answer: Span, start: int, end: int) -> bool:
    """Whether tokens from ``start`` to ``end`` hold the answer and nothing else."""
    return context[start:end].strip() == context[answer.start : answer.end].strip()
