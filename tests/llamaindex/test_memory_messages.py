"""ChatMessage to Turn and back: every kind of message, whole, and none of them changed."""

from __future__ import annotations

import copy
import io
import json
from types import SimpleNamespace

import pytest
from llama_index.core.base.llms.types import (
    AudioBlock,
    CacheControl,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)
from llama_index.core.llms.llm import ToolSelection

from gist_core.errors import InvalidInputError
from gist_core.memory import ConversationCompactor, MemoryPolicy, ToolCall, turn_from_json, turn_to_json
from llamaindex_gist import GistMessage
from llamaindex_gist.memory import turn_to_message
from llamaindex_gist.memory._messages import to_messages, to_turns
from tests.helpers.lexical import LexicalCompressor

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200, 256))
CALL = ToolCallBlock(tool_call_id="c1", tool_name="find", tool_kwargs={"q": "café", "n": [1, None]})
OLD_CALLS = [{"id": "c1", "type": "function", "function": {"name": "find", "arguments": '{ "q": "café"}'}}]
MESSAGES = {
    "user": ChatMessage("Hello, 東京 🙂"),
    "empty": ChatMessage(role="user"),
    "empty text": ChatMessage(role="user", content=""),
    "surrogate": ChatMessage("lone \ud800 and \x00"),
    "system": ChatMessage(role="system", content="Be kind."),
    **{role.value: ChatMessage(role=role, content="x") for role in MessageRole if role.value not in ("user", "system")},
    "two texts": ChatMessage(role="assistant", blocks=[TextBlock(text="a"), TextBlock(text="b\nc")]),
    "kwargs": ChatMessage("x", additional_kwargs={"pinned": True, "id": "m-1", "other": {"a": [1, 2.5, None, "ü"]}}),
    "bytes": ChatMessage("x", additional_kwargs={"thought_signature": b"\x00\xff\xfe"}),
    "call": ChatMessage(role="assistant", blocks=[TextBlock(text="Let me see."), CALL]),
    "call alone": ChatMessage(role="assistant", blocks=[CALL]),
    "call first": ChatMessage(role="assistant", blocks=[CALL, TextBlock(text="after")]),
    "call without id": ChatMessage(role="assistant", blocks=[ToolCallBlock(tool_name="find")]),
    "broken arguments": ChatMessage(role="assistant", blocks=[CALL.model_copy(update={"tool_kwargs": '{"q": '})]),
    "calls of old": ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": OLD_CALLS}),
    "result": ChatMessage(role="tool", content="[1]", additional_kwargs={"tool_call_id": "c1", "name": "find"}),
    "empty result": ChatMessage(role="tool", blocks=[], additional_kwargs={"tool_call_id": "c1"}),
    "returned directly": ChatMessage(role="assistant", content="4", additional_kwargs={"tool_call_id": "c1"}),
    "image": ChatMessage(role="user", blocks=[TextBlock(text="look"), ImageBlock(image=PNG)]),
    "image by url": ChatMessage(role="user", blocks=[ImageBlock(url="https://example.org/a.png", detail="low")]),
    "audio": ChatMessage(role="user", blocks=[AudioBlock(audio=b"RIFF0000WAVE", format="wav")]),
    "video": ChatMessage(role="user", blocks=[VideoBlock(video=b"\x00\x01\x02", video_mimetype="video/mp4", fps=2)]),
    "document": ChatMessage(role="user", blocks=[DocumentBlock(data=b"%PDF-1.4", title="The plan")]),
    "thinking": ChatMessage(
        role="assistant",
        blocks=[
            ThinkingBlock(content="hm", num_tokens=77, additional_information={"signature": "Zm9v"}),
            TextBlock(text="So it is."),
            CALL,
        ],
    ),
    "cache point": ChatMessage(
        role="user", blocks=[TextBlock(text="a"), CachePoint(cache_control=CacheControl(type="ephemeral"))]
    ),
    "citable": ChatMessage(role="user", blocks=[CitableBlock(title="t", source="s", content="a long text " * 9)]),
    "citation": ChatMessage(
        role="assistant",
        blocks=[CitationBlock(cited_content="c", source="s", title="t", additional_location_info={"page": 3})],
    ),
}


def archived(message):
    """A message, through a turn, an archive's JSON, and back."""
    (turn,) = to_turns([message])
    return turn_to_message(turn_from_json(json.loads(json.dumps(turn_to_json(turn)))))


@pytest.mark.parametrize("name", MESSAGES)
def test_every_message_comes_back_whole_and_is_not_changed(name):
    message = MESSAGES[name]
    before = copy.deepcopy(message)
    assert archived(message) == before
    (seen,) = to_messages(to_turns([message]))
    assert seen == before
    assert seen is not message
    assert message == before


def test_an_open_stream_is_read():
    message = ChatMessage(role="user", blocks=[ImageBlock(image=io.BytesIO(PNG), image_mimetype="image/png")])
    (block,) = archived(message).blocks
    assert block.resolve_image().read() == PNG


def test_images_of_old_are_not_doubled():
    document = SimpleNamespace(resolve_image=lambda as_base64: io.BytesIO(PNG))
    message = ChatMessage("look", additional_kwargs={"images": [document]})
    found = archived(message)
    assert [block.block_type for block in found.blocks] == ["text", "image"]
    assert to_turns([message])[0].opaque == ("image",)


def test_plain_messages_carry_nothing_extra():
    plain = ["user", "empty", "system", "assistant", "call", "call alone", "result", "empty result"]
    assert {name for name, message in MESSAGES.items() if not to_turns([message])[0].extra} >= set(plain)


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("system", "system"),
        ("developer", "system"),
        ("user", "user"),
        ("assistant", "assistant"),
        ("chatbot", "assistant"),
        ("model", "assistant"),
        ("tool", "tool"),
        ("function", "tool"),
    ],
)
def test_roles(role, expected):
    assert to_turns([ChatMessage(role=role, content="x")])[0].role == expected


def test_ids_names_and_pins():
    kept, result, plain = to_turns([MESSAGES["kwargs"], MESSAGES["result"], ChatMessage("x")])
    assert (kept.id, kept.pinned, kept.content) == ("m-1", True, "x")
    assert (result.tool_call_id, result.name, result.id) == ("c1", "find", "")
    assert not plain.pinned
    assert not to_turns([ChatMessage("x", additional_kwargs={"pinned": "yes"})])[0].pinned


CALL_SHAPES = {
    "openai dict": {"id": "c1", "function": {"name": "find", "arguments": '{"q": 1}'}},
    "openai object": SimpleNamespace(id="c1", function=SimpleNamespace(name="find", arguments='{"q": 1}')),
    "tool selection": ToolSelection(tool_id="c1", tool_name="find", tool_kwargs={"q": 1}),
    "anthropic": {"id": "c1", "name": "find", "input": {"q": 1}, "type": "tool_use"},
    "bedrock": {"toolUseId": "c1", "name": "find", "input": {"q": 1}},
}


@pytest.mark.parametrize("shape", CALL_SHAPES)
def test_calls_of_any_shape(shape):
    message = ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": [CALL_SHAPES[shape]]})
    assert to_turns([message])[0].tool_calls == (ToolCall("c1", "find", '{"q": 1}'),)


def test_calls_told_twice_count_once():
    message = ChatMessage(role="assistant", blocks=[CALL], additional_kwargs={"tool_calls": OLD_CALLS})
    assert to_turns([message])[0].tool_calls == (ToolCall("c1", "find", '{"q": "café", "n": [1, null]}'),)


@pytest.mark.parametrize("ids", [("write", "write"), (None, None)])
@pytest.mark.parametrize("told", ["blocks", "kwargs", "both", "once more in the kwargs"])
def test_calls_of_one_tool_whose_name_is_their_id_are_two(ids, told):
    paths = [{"path": "a"}, {"path": "b"}]
    blocks = [ToolCallBlock(tool_call_id=i, tool_name="write", tool_kwargs=p) for i, p in zip(ids, paths, strict=True)]
    kwargs = [{"id": i, "name": "write", "args": p} for i, p in zip(ids, paths, strict=True)]
    shown = {"blocks": blocks, "both": blocks, "once more in the kwargs": blocks[:1]}.get(told, [])
    message = ChatMessage(
        role="assistant", blocks=shown, additional_kwargs={} if told == "blocks" else {"tool_calls": kwargs}
    )
    assert to_turns([message])[0].tool_calls == tuple(ToolCall("write", "write", json.dumps(path)) for path in paths)


def test_function_calls_of_old_belong_to_their_results():
    call = ChatMessage(
        role="assistant", content="", additional_kwargs={"function_call": {"name": "f", "arguments": "{}"}}
    )
    result = ChatMessage(role="function", content="4", additional_kwargs={"name": "f"})
    called, answered = to_turns([call, result])
    assert called.tool_calls == (ToolCall("function-f", "f", "{}"),)
    assert answered.tool_call_id == "function-f"


def test_calls_of_no_assistant_are_none():
    assert to_turns([ChatMessage("x", additional_kwargs={"tool_calls": OLD_CALLS})])[0].tool_calls == ()


@pytest.mark.parametrize(
    ("name", "opaque", "tokens"),
    [
        ("image", "image", 256),
        ("audio", "audio", 256),
        ("video", "video", 256),
        ("document", "document", 2_048),
        ("thinking", "thinking", 77),
    ],
)
def test_other_parts_are_named_and_cost_what_llamaindex_says(name, opaque, tokens):
    (turn,) = to_turns([MESSAGES[name]])
    assert (turn.opaque, turn.opaque_tokens) == ((opaque,), tokens)


def test_parts_without_an_estimate_cost_by_their_size():
    (citable,) = to_turns([MESSAGES["citable"]])
    assert 20 < citable.opaque_tokens < 100
    assert to_turns([MESSAGES["cache point"]])[0].opaque == ()


def test_what_no_json_holds_is_null_in_the_archive_and_whole_in_the_view():
    thing = object()
    endless = {}
    endless["again"] = endless
    tool = ToolSelection(tool_id="1", tool_name="t", tool_kwargs={})
    message = ChatMessage("x", additional_kwargs={"thing": thing, "endless": endless, "tool": tool})
    assert archived(message).additional_kwargs == {
        "thing": None,
        "endless": None,
        "tool": {"tool_id": "1", "tool_name": "t", "tool_kwargs": {}},
    }
    assert to_messages(to_turns([message]))[0].additional_kwargs["thing"] is thing


def test_writing_into_a_view_changes_nothing_else():
    message = ChatMessage("as it was")
    turns = to_turns([message])
    message.blocks[0].text = "changed by the caller"
    seen = to_messages(turns)[0]
    seen.blocks[0].text = "changed by an agent"
    assert to_messages(turns)[0].content == "as it was"


def test_a_gist_is_a_plain_message_that_knows_what_it_stands_for():
    compactor = ConversationCompactor(MemoryPolicy(high_water=150, keep_last=1), compressor=LexicalCompressor())
    messages = [ChatMessage(f"Message {n} is about the number {n} and a few words more.") for n in range(20)]
    view = compactor.append(*to_turns(messages)).turns
    gist = next(message for message in to_messages(view) if isinstance(message, GistMessage))
    assert (gist.role, gist.additional_kwargs) == (MessageRole.USER, {})
    assert gist.content == gist.gist.text
    assert [name.startswith(f"turn-{at}") for at, name in enumerate(gist.gist.turns[:2])] == [True, True]
    assert to_turns([gist])[0].gist == gist.gist
    assert copy.deepcopy(gist).gist == gist.model_copy().gist == gist.gist
    assert gist.model_dump() == ChatMessage(content=gist.content).model_dump()


def test_what_is_no_message_is_refused():
    with pytest.raises(InvalidInputError, match="A str stands among the messages"):
        to_turns(["hello"])
