"""Conversations, with questions about them where a set has any, for the measurement of chat memory."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from gist_core.cases import EVIDENCE_KINDS
from gist_core.errors import InvalidInputError
from gist_core.evaluation.metrics import holds_answer, usable_answers
from gist_core.evaluation.runner import TOKENIZER
from gist_core.memory import MemoryPolicy, ToolCall, Turn
from gist_core.memory.counting import TurnCounter
from gist_core.passage import Span, hash_text, merge_spans
from gist_core.records import Record, Split, read_records, split_of

_CALL = re.compile(r"CALL (\w+)\((\{.*\})\)", re.DOTALL)
_NOBODY = {"user", "system", "assistant", "ai", "#note#"}  # speakers that are roles or stage directions


@dataclass(frozen=True, slots=True)
class Sample:
    """What is taken of a set.

    Args:
        split: The side of the split; None for all records, where nothing was trained on any.
        conversations: So many at the most, a fixed random sample; None for all.
        asked: So many questions at the most are put to the systems that answer one; the others ask all of them.
    """

    split: Split | None = None
    conversations: int | None = None
    asked: int | None = None


SETS: dict[str, Sample] = {
    "nolicence_realtalk": Sample(asked=40),
    "friendsqa": Sample("test", asked=150),
    "qmsum_val": Sample(conversations=12, asked=24),
    "memorybank_en": Sample(),
    "dstc8_sgd": Sample(conversations=60),
    "tau_bench_airline": Sample(conversations=40),
}


@dataclass(frozen=True, slots=True)
class Question:
    """A question about a conversation.

    Args:
        id: The record's id.
        query: The question.
        answers: Those that stand literally in the conversation and can be looked for; often none.
        evidence: Gold spans, disjoint, by the id of their turn.
        asked: Whether it is put to the systems that answer a question.
    """

    id: str
    query: str
    answers: tuple[str, ...]
    evidence: Mapping[str, Sequence[Span]]
    asked: bool = True


@dataclass(frozen=True, eq=False)
class Chat:
    """A conversation: ``id`` names it in its set, its turns have ids of their own. Compared by identity."""

    id: str
    set: str
    turns: tuple[Turn, ...]
    questions: tuple[Question, ...] = ()
    sizes: tuple[int, ...] = field(init=False)
    """Tokens of each turn, as ``TurnCounter`` counts them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(map(turn_counter().turn, self.turns)))


@cache
def turn_counter() -> TurnCounter:
    """What every system of the measurement is counted by."""
    return TurnCounter(MemoryPolicy(tokenizer=TOKENIZER))


def said(turn: Turn) -> str:
    """What a turn says: its text and the calls it makes, without speaker or frame."""
    return "\n".join([turn.content, *(f"{call.name}({call.arguments})" for call in turn.tool_calls)]).strip()


def chosen_samples(sets: Iterable[str], limit: int | None) -> dict[str, Sample]:
    """How each set is taken: as ``SETS`` says, the test side of a set it does not know; ``limit`` overrides sizes."""
    known = {name: SETS.get(name, Sample("test")) for name in sets}
    return {name: Sample(s.split, limit, limit) if limit else s for name, s in known.items()}


def load_chats(data: Path, name: str, sample: Sample, seed: int = 13) -> list[Chat]:
    """The conversations of a set, in an order that is random but fixed.

    Turns of the system are left out: they are rules and not conversation, and every memory keeps them as they are.

    Raises:
        InvalidInputError: The set is not in the folder, or is none of conversations.
    """
    found: dict[str, list[Record]] = {}
    for record in read_records(data, name):
        if sample.split in (None, split_of(record)):
            key = hash_text("\n".join(d["text"] for d in record["documents"]))
            if key in found:
                record["documents"] = ()  # hundreds of questions share one conversation
            found.setdefault(key, []).append(record)
    rng = random.Random(f"{name}-{seed}")
    keys = sorted(found)
    rng.shuffle(keys)
    chosen = [found[key] for key in keys[: sample.conversations]]
    useful = [r["id"] for records in chosen for r in records if _evidence(r)]
    asked = set(useful if sample.asked is None else rng.sample(useful, min(sample.asked, len(useful))))
    return [_chat(name, records, asked) for records in chosen]


def _chat(name: str, records: Sequence[Record], asked: set[str]) -> Chat:
    """One conversation.

    Raises:
        InvalidInputError: Its documents have no roles.
    """
    if not all(d.get("role") for d in records[0]["documents"]):
        raise InvalidInputError(
            f"{name} is no set of conversations: a document of record {records[0]['id']!r} has no role.",
            hint="Every document of a conversation is a turn: give it role='user', 'assistant', 'system' or 'tool'.",
        )
    turns = tuple(_turns(records[0]["documents"]))
    text = "\n".join(map(said, turns))
    questions = tuple(_question(r, text, asked) for r in records if _evidence(r))
    return Chat(f"chat-{records[0]['id']}", name, turns, questions)


def _question(record: Record, text: str, asked: set[str]) -> Question:
    answers = tuple(a for a in usable_answers(record["answers"] or ()) if holds_answer(text, [a]))
    return Question(record["id"], record["query"], answers, _evidence(record), record["id"] in asked)


def _evidence(record: Record) -> dict[str, list[Span]]:
    spans: dict[str, list[Span]] = {}
    for e in record["evidence"] if record["query"] else ():
        if e["kind"] in EVIDENCE_KINDS:
            spans.setdefault(e["doc"], []).append(Span(e["start"], e["end"]))
    return {turn: merge_spans(own) for turn, own in spans.items()}


def _turns(documents: Sequence[Record]) -> Iterator[Turn]:
    call: str | None = None
    for document in documents:
        role, text, id_ = document["role"], document["text"], document["id"]
        made = _CALL.fullmatch(text) if role == "assistant" else None
        if made:
            call = f"call-{id_}"
            yield Turn("assistant", id=id_, tool_calls=(ToolCall(call, made[1], made[2]),))
        elif role == "tool":
            yield Turn("tool", text, id=id_, name=document["speaker"], tool_call_id=call)
        elif role != "system":
            who = document.get("speaker")
            yield Turn(role, text, id=id_, name=who if who and who.lower() not in _NOBODY else None)
