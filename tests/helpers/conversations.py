"""Random conversations, as providers allow them, and a compressor that rates their sentences at once."""

from __future__ import annotations

from hypothesis import strategies as st

from gist_core.compressor import check_call
from gist_core.memory import ToolCall, Turn
from tests.helpers.lexical import LexicalCompressor

WORDS = [
    *[
        "we",
        "booked",
        "flight",
        "HAT017",
        "for",
        "5.2",
        "kg",
        "on",
        "May",
        "3",
        "with",
        "Ann",
        "Lee",
        ".",
        "decided",
        "!",
        "really",
        "?",
        "yes",
        "no",
        "maybe",
        "the",
        "of",
    ],
    *[
        "río",
        "東京",
        "🙂",
        "café",
        "invoice",
        "4711",
        "$250",
        "because",
        "I'll",
        "call",
        "you",
        "tomorrow",
        "at",
        "10:30",
        "about",
        "the",
        "garden",
        "fence",
    ],
]


class QuickCompressor(LexicalCompressor):
    """As its base, without a batch worker."""

    model_id = "quick-1"

    def compress(self, passages, *, query=None, budget, keep=(), allow_empty=False):
        check_call(passages, query, budget, keep)
        self.calls += 1
        scores = self._score([(query, passage.text) for passage in passages], pause=False)
        return self._select(passages, scores, budget, keep, allow_empty)


texts = st.one_of(
    st.just(""),
    st.just("  \n "),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=25).map(" ".join),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map("\n".join),
    st.tuples(st.sampled_from(WORDS), st.integers(50, 250)).map(lambda pair: " ".join([pair[0]] * pair[1])),
)
results = st.one_of(
    texts,
    st.integers(1, 40).map(lambda n: "[" + ",".join(f'{{"id": {i}, "name": "item {i}"}}' for i in range(n)) + "]"),
)
names = st.sampled_from([None, None, None, "Ann", "Bo Li"])
pins = st.sampled_from([False] * 14 + [True])


@st.composite
def exchanges(draw, number: int) -> list[Turn]:
    """A call of one or several tools at once, its results in any order, some of them missing."""
    calls = tuple(ToolCall(f"call-{number}-{i}", f"tool_{i}", '{"q": "x"}') for i in range(draw(st.integers(1, 3))))
    answered = draw(st.permutations(calls))[: draw(st.sampled_from([len(calls)] * 4 + [0, 1]))]
    call = Turn("assistant", draw(texts), tool_calls=calls, pinned=draw(pins))
    return [call, *(Turn("tool", draw(results), name=c.name, tool_call_id=c.id, pinned=draw(pins)) for c in answered)]


@st.composite
def conversations(draw, longest: int = 12) -> list[Turn]:
    """System turns first, or none; then users, assistants, tools, images, pinned and empty turns."""
    turns = [Turn("system", draw(texts)) for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2])))]
    for number in range(draw(st.integers(1, longest))):
        kind = draw(st.sampled_from(["user", "user", "pair", "pair", "tools", "image", "system"]))
        if kind == "tools":
            turns += draw(exchanges(number))
        elif kind == "image":
            turns.append(Turn("user", draw(texts), opaque=("image",), opaque_tokens=draw(st.integers(0, 120))))
        elif kind == "system" and number:
            turns.append(Turn("system", draw(texts)))
        else:
            turns.append(Turn("user", draw(texts), name=draw(names), pinned=draw(pins)))
            if kind == "pair":
                turns.append(Turn("assistant", draw(texts), pinned=draw(pins)))
    return turns
