"""Run chat-memory systems over conversations; one JSON line a record, system and rate, appended, so a run can go on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from gist_core.evaluation.memory_baselines import Asked, Free, Shown
from gist_core.evaluation.memory_sets import Chat, Question, said
from gist_core.evaluation.metrics import holds_answer, share_inside
from gist_core.evaluation.rows import appending, read_rows
from gist_core.facts import value_texts
from gist_core.matching import folded, stands

RATES = (4, 10, 20)
SMALLEST_BUDGET = 48
Row = dict[str, object]
Done = set[tuple[object, ...]]


def run(chats: Iterable[Chat], free: Mapping[str, Free], asked: Mapping[str, Asked], out: Path) -> None:
    """Measure every system on every conversation; rows already in ``out`` are not measured again."""
    done = {_key(row) for row in read_rows(out)}
    with appending(out) as append:
        for chat in chats:
            for name, system in free.items():
                for row in _free_rows(chat, name, system, done):
                    append(row)
            for name, asked_system in asked.items():
                for row in _asked_rows(chat, name, asked_system, done):
                    append(row)


def budget_of(chat: Chat, rate: int) -> int:
    """floor(tokens of all turns / rate), at least 48."""
    return max(sum(chat.sizes) // rate, SMALLEST_BUDGET)


@lru_cache(maxsize=2)
def values(chat: Chat) -> frozenset[tuple[str, str]]:
    """Kind and text, folded, of all numbers, dates, identifiers and names in a conversation, each once."""
    return frozenset((kind.value, folded(text)) for turn in chat.turns for kind, text in value_texts(said(turn)))


def values_kept(chat: Chat, text: str) -> dict[str, tuple[int, int]]:
    """By kind: how many of the conversation's values stand in the text, by themselves, and how many there are."""
    body = folded(text)
    found = values(chat)
    kept = Counter(kind for kind, value in found if stands(value, body))
    return {kind: (kept[kind], count) for kind, count in sorted(Counter(kind for kind, _ in found).items())}


def _free_rows(chat: Chat, name: str, system: Free, done: Done) -> Iterator[Row]:
    for rate in RATES:
        start = _start(chat, name, rate)
        missing = [q for q in chat.questions if _key({**start, "id": q.id}) not in done]
        whole = _key({**start, "id": chat.id}) not in done
        if not (missing or whole):
            continue
        shown = system(chat, budget_of(chat, rate))
        for question in missing:
            yield {**start, "id": question.id, **_size(chat, rate, shown), **_answered(question, shown)}
        if whole:
            yield {**start, "id": chat.id, **_size(chat, rate, shown), "values": values_kept(chat, shown.text)}


def _asked_rows(chat: Chat, name: str, system: Asked, done: Done) -> Iterator[Row]:
    for question in chat.questions:
        for rate in reversed(RATES):
            start = {**_start(chat, name, rate), "id": question.id}
            if question.asked and _key(start) not in done:
                shown = system(chat, question, budget_of(chat, rate))
                yield {**start, **_size(chat, rate, shown), **_answered(question, shown), "asked": True}


def _start(chat: Chat, system: str, rate: int) -> Row:
    return {"set": chat.set, "chat": chat.id, "system": system, "rate": rate}


def _size(chat: Chat, rate: int, shown: Shown) -> Row:
    budget = budget_of(chat, rate)
    return {"budget": budget, "tokens": shown.tokens, "over": shown.tokens > budget}


def _answered(question: Question, shown: Shown) -> Row:
    shares = [share_inside(spans, shown.kept.get(turn, ())) for turn, spans in question.evidence.items()]
    inside, total = sum(s[0] for s in shares), sum(s[1] for s in shares)
    return {
        "evidence": inside / total if total else None,
        "answer": holds_answer(shown.text, question.answers) if question.answers else None,
    }


def _key(row: Mapping[str, object]) -> tuple[object, ...]:
    return row["set"], row["id"], row["system"], row["rate"]
