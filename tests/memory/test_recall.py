from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gist_core.budget import Budget
from gist_core.memory import ConversationCompactor, MemoryPolicy, ToolCall, Turn
from gist_core.memory.chunks import chunks
from gist_core.passage import render
from tests.helpers.conversations import QuickCompressor

LOG = " ".join(f"Truck {i} left the harbour gate and the driver signed for delivery {i * 7}." for i in range(800))
REMARKS = [Turn("user", f"Remark {i}: the driver said that truck {i} had nothing to report.") for i in range(60)]


class Counting(QuickCompressor):
    """Knows how long the texts were that it read with a question."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[int] = []

    def compress(self, passages, *, query=None, **settings):
        if query is not None:
            self.read += [len(passage.text) for passage in passages]
        return super().compress(passages, query=query, **settings)


def remembering(*turns: Turn, compressor=None) -> ConversationCompactor:
    policy = MemoryPolicy(high_water=600, low_water=200, keep_last=2)
    memory = ConversationCompactor(policy, compressor=compressor or QuickCompressor())
    memory.append(*turns)
    return memory


@pytest.mark.parametrize("question", ["What opens the barrier?", "Which barrier opens for the driver at the gate?"])
def test_a_pasted_log_hides_nothing(question):
    memory = remembering(Turn("user", LOG), Turn("user", "the word heron opens the barrier"), *REMARKS)
    assert "heron" in memory.recall(question, Budget(tokens=120)).text


def test_a_pasted_log_is_searched_itself():
    half = len(LOG) // 2
    log = Turn("user", f"{LOG[:half]} The barrier opens for heron. {LOG[half:]}", id="log")
    memory = remembering(log, *REMARKS)
    found = memory.recall("What opens the barrier?", Budget(tokens=120))
    (piece,) = (piece for piece in found.pieces if piece.turn == "log")
    assert "heron" in piece.text
    assert piece.text == render(log.content, piece.spans)


def test_what_a_chunk_holds_already_in_view_is_left_out():
    memory = remembering(Turn("user", f"{LOG} The barrier opens for HERON-17.", id="log"), *REMARKS)
    view = "\n".join(turn.content for turn in memory.view().turns)
    for piece in memory.recall("Which truck left the harbour gate?", Budget(tokens=300)).pieces:
        assert not any(line and line in view for line in piece.text.split("\n"))


def test_the_model_reads_no_more_than_the_candidates():
    compressor = Counting()
    memory = remembering(Turn("user", LOG), Turn("user", LOG[::-1]), *REMARKS, compressor=compressor)
    memory.recall("What opens the barrier?", Budget(tokens=120))
    assert 20_000 < sum(compressor.read) <= 24_000
    assert max(compressor.read) <= 2_000


def test_a_call_with_long_arguments_stays_whole_or_goes():
    call = Turn("assistant", tool_calls=(ToolCall("c", "write", LOG),), id="call")
    memory = remembering(Turn("user", "Write it."), call, *REMARKS)
    assert "call" not in {p.turn for p in memory.recall("Which truck left the gate?", Budget(tokens=200)).pieces}
    (whole,) = (
        p for p in memory.recall("Which truck left the gate?", Budget(tokens=40_000)).pieces if p.turn == "call"
    )
    assert whole.text == f"write({LOG})"


@given(st.lists(st.sampled_from(["word ", "第三号の荷物。", "a line\n", "It rains. ", "x" * 900]), max_size=400))
def test_chunks_are_all_of_a_text(parts):
    text = "".join(parts)
    found = chunks(text)
    assert "".join(text[start:end] for start, end in found) == text
    assert all(0 < end - start <= 2_000 for start, end in found) or not text


@pytest.mark.parametrize("end", ["\n", ". ", "。", " "])
def test_chunks_end_where_something_ends(end):
    text = ("x" * 70 + end) * 100
    assert all(stop % len("x" * 70 + end) in {0, 71} for _, stop in chunks(text))
