"""Messages to turns and back: whole, unchanged, and what each part counts as."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from gist_core.errors import InvalidInputError
from gist_core.memory import ConversationCompactor, MemoryArchive, ToolCall
from langchain_gist.memory import turn_to_message
from langchain_gist.memory._content import MEDIA_TOKENS
from langchain_gist.memory._messages import from_compaction, to_turns
from tests.helpers.lexical import LexicalCompressor

IMAGE = {"type": "image", "base64": "AAAA", "mime_type": "image/png"}
THINKING = {"type": "thinking", "thinking": "Let me think about it.", "signature": "c2lnbmF0dXJl"}


def turn_of(message):
    (turn,) = to_turns([message])
    return turn


def archived(message):
    """What comes back of a message from an archive."""
    archive = MemoryArchive()
    turn = turn_of(message)
    archive.add("c", [turn])
    return turn_to_message(archive.get("c", [turn.id])[0])


texts = st.text(max_size=20)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
blocks = st.one_of(
    texts,
    st.builds(lambda text: {"type": "text", "text": text}, texts),
    st.sampled_from([IMAGE, THINKING, {"type": "audio", "base64": "AA"}, {"type": "refusal", "refusal": "no"}]),
    st.builds(lambda data: {"image": {"source": {"bytes": data}}}, st.binary(max_size=4)),
)
contents = texts | st.lists(blocks, max_size=3)
calls = st.lists(
    st.builds(
        lambda name, args, id_: {"name": name, "args": args, "id": id_, "type": "tool_call"},
        texts,
        st.dictionaries(texts, plain, max_size=2),
        st.sampled_from(["a", "b", "c"]),
    ),
    max_size=2,
    unique_by=lambda call: call["id"],
)
invalid = st.lists(
    st.builds(
        lambda args: {"name": "f", "args": args, "id": "z", "error": "no JSON", "type": "invalid_tool_call"}, texts
    ),
    max_size=1,
)
common = {
    "content": contents,
    "id": st.just("m-1"),
    "name": st.none() | texts,
    "additional_kwargs": st.dictionaries(st.sampled_from(["a", "pinned", "b"]), plain, max_size=2),
    "response_metadata": st.dictionaries(texts, plain, max_size=1),
}
messages = st.one_of(
    st.builds(HumanMessage, **common),
    st.builds(SystemMessage, **common),
    st.builds(AIMessage, tool_calls=calls, invalid_tool_calls=invalid, **common),
    st.builds(ToolMessage, tool_call_id=texts, artifact=plain, status=st.sampled_from(["success", "error"]), **common),
    st.builds(ChatMessage, role=st.sampled_from(["user", "developer", "critic", "assistant"]), **common),
    st.builds(FunctionMessage, **{**common, "name": texts}),
)


@settings(max_examples=300, deadline=None)
@given(messages)
def test_every_message_comes_back_from_the_archive_whole_and_nothing_is_changed(message):
    before = copy.deepcopy(message)
    again = archived(message)
    assert message == before
    assert type(again) is type(message)
    assert again == message
    assert turn_of(again).digest == turn_of(message).digest


@settings(max_examples=100, deadline=None)
@given(messages)
def test_extra_is_json(message):
    extra = turn_of(message).extra
    assert json.loads(json.dumps(extra)) == extra


@pytest.mark.parametrize(
    ("message", "role", "name"),
    [
        (SystemMessage("x"), "system", None),
        (HumanMessage("x", name="Ann"), "user", "Ann"),
        (AIMessage("x"), "assistant", None),
        (AIMessageChunk(content="x"), "assistant", None),
        (ToolMessage("x", tool_call_id="1", name="f"), "tool", "f"),
        (ChatMessage("x", role="developer"), "system", None),
        (ChatMessage("x", role="User"), "user", None),
        (ChatMessage("x", role="model"), "assistant", None),
        (ChatMessage("x", role="critic"), "user", "critic"),
        (FunctionMessage("x", name="f"), "tool", "f"),
    ],
)
def test_roles(message, role, name):
    turn = turn_of(message)
    assert (turn.role, turn.content, turn.name) == (role, "x", name)


def test_plain_messages_need_no_extra():
    plain = [SystemMessage("s", id="1"), HumanMessage("h"), AIMessage("a"), ToolMessage("t", tool_call_id="c")]
    assert [turn.extra for turn in to_turns(plain)] == [{}, {}, {}, {}]


def test_calls_in_all_their_forms():
    message = AIMessage(
        [
            {"type": "text", "text": "One."},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"x": "ü"}},
            {"type": "tool_use", "id": "b", "name": "g", "input": {}},
            {"type": "text", "text": "Two."},
        ],
        tool_calls=[{"name": "f", "args": {"x": "ü"}, "id": "a"}],
        invalid_tool_calls=[{"name": "h", "args": "{oops", "id": "c", "error": "no JSON"}],
        additional_kwargs={"function_call": {"name": "old", "arguments": "{}"}},
    )
    turn = turn_of(message)
    assert turn.content == "One.\nTwo."
    assert turn.opaque == ()
    assert turn.tool_calls == (
        ToolCall("a", "f", '{"x": "ü"}'),
        ToolCall("c", "h", "{oops"),
        ToolCall("function-old", "old", "{}"),
        ToolCall("b", "g", "{}"),
    )
    assert turn_of(FunctionMessage("3", name="old")).tool_call_id == "function-old"


def test_parts_that_are_no_text_are_named_and_cost_something():
    turn = turn_of(HumanMessage(["See:", IMAGE, {"type": "input_audio", "input_audio": {"data": "A" * 9_000}}]))
    assert (turn.content, turn.opaque, turn.opaque_tokens) == ("See:", ("image", "input_audio"), 2 * MEDIA_TOKENS)
    thought = turn_of(AIMessage([THINKING, {"type": "text", "text": "Yes."}]))
    assert (thought.content, thought.opaque) == ("Yes.", ("thinking",))
    assert 10 < thought.opaque_tokens < 40


def test_other_pictures_are_other_turns():
    one, other = HumanMessage([IMAGE]), HumanMessage([{**IMAGE, "base64": "BBBB"}])
    assert turn_of(one).digest != turn_of(other).digest
    assert turn_of(one).digest == turn_of(copy.deepcopy(one)).digest


def test_what_json_cannot_hold_comes_back_as_none():
    again = archived(ToolMessage("x", tool_call_id="1", id="m", artifact={"open": object(), "n": 1}))
    assert again.artifact == {"open": None, "n": 1}


def test_pinned_only_by_true():
    assert turn_of(HumanMessage("x", additional_kwargs={"pinned": True})).pinned
    assert not turn_of(HumanMessage("x", additional_kwargs={"pinned": "yes"})).pinned


@pytest.mark.parametrize("wrong", [RemoveMessage(id="m-1"), "hello", None])
def test_what_is_no_message_is_refused(wrong):
    with pytest.raises(InvalidInputError, match=type(wrong).__name__):
        to_turns([HumanMessage("x"), wrong])


@pytest.mark.parametrize("own", ["https://gist.github.com/x", {"id": "x"}, {"id": 1}, 5])
@pytest.mark.parametrize("kind", [HumanMessage, AIMessage])
def test_a_key_of_the_users_own_that_is_called_as_ours_is_no_gist(kind, own):
    message = kind("x", id="m", additional_kwargs={"gist": own})
    assert turn_of(message).gist is None
    assert archived(message) == message
    compaction = ConversationCompactor(compressor=LexicalCompressor()).compact(to_turns([message]))
    assert from_compaction([message], compaction) == [message]


class Array:
    """Behaves as an array does: a comparison gives no truth."""

    def __eq__(self, other):
        return self

    def __bool__(self):
        raise ValueError("The truth value of an array is ambiguous.")

    __hash__ = None


def itself():
    found = {}
    found["again"] = found
    return found


@pytest.mark.parametrize("artifact", [Array(), {1, 2}, itself(), object()], ids=["array", "set", "cycle", "object"])
def test_an_artifact_that_json_cannot_hold_is_dropped(artifact):
    message = ToolMessage("x", tool_call_id="1", id="m", artifact=artifact, status="error")
    again = archived(message)
    assert (again.artifact, again.content, again.status) == (None, "x", "error")


@pytest.mark.parametrize("artifact", [[1, {"a": b"b"}], "text", 0, [Document("x", metadata={"n": 1})]])
def test_any_other_artifact_is_kept(artifact):
    again = archived(ToolMessage("x", tool_call_id="1", id="m", artifact=artifact))
    assert again.artifact == (artifact if not isinstance(artifact, list) else [*map(plain, artifact)])


def plain(value):
    return value.model_dump() if isinstance(value, Document) else value


def result(name, content):
    return {"type": "tool_result", "tool_use_id": name, "content": content}


@pytest.mark.parametrize("content", ["12 ships", [{"type": "text", "text": "12 ships"}]])
def test_results_that_stand_as_blocks_in_a_users_message_are_results(content):
    message = HumanMessage([result("a", content), {"type": "text", "text": "Go on."}], id="m")
    turn = turn_of(message)
    assert (turn.role, turn.tool_call_id, turn.content) == ("tool", "a", "12 ships\nGo on.")
    assert (turn.opaque, turn.opaque_tokens) == ((), 0)
    assert archived(message) == message
    pictured = turn_of(HumanMessage([result("a", [{"type": "text", "text": "A map:"}, IMAGE])]))
    assert (pictured.content, pictured.opaque, pictured.opaque_tokens) == ("A map:", ("image",), MEDIA_TOKENS)
    assert turn_of(HumanMessage([result("a", None)])).tool_call_id == "a"


@pytest.mark.parametrize(
    "block",
    [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "word " * 3_000}},
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "word " * 3_000}]}},
        {"type": "text-plain", "text": "word " * 3_000, "mime_type": "text/plain"},
        {"type": "file", "source_type": "text", "text": "word " * 3_000},
    ],
)
def test_a_document_that_is_text_is_counted_as_text(block):
    message = HumanMessage([block], id="m")
    turn = turn_of(message)
    assert (turn.content, turn.opaque_tokens) == ("word " * 3_000, 0)
    assert archived(message) == message


def test_a_document_that_is_none_is_not():
    turn = turn_of(HumanMessage([{"type": "document", "source": {"type": "base64", "data": "AAAA"}}]))
    assert (turn.content, turn.opaque, turn.opaque_tokens) == ("", ("document",), MEDIA_TOKENS)
