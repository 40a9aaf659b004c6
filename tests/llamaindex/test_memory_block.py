"""GistMemoryBlock: what Memory asks of a block, and what ours promises."""

from __future__ import annotations

import asyncio
import copy

import pydantic
import pytest
from llama_index.core.base.llms.types import ChatMessage, ToolCallBlock
from llama_index.core.memory import InsertMethod, Memory

from gist_core.errors import CompressionError, GistError, InvalidInputError
from gist_core.fallback import GistWarning
from gist_core.memory import MemoryArchive
from gist_core.memory.sql import SqlArchive
from gist_core.settings import MemorySettings
from llamaindex_gist import GistMemoryBlock, GistMessage, RecallMessage
from llamaindex_gist.memory import turn_to_message
from tests.helpers.lexical import Broken, LexicalCompressor
from tests.helpers.scripted_llm import check_prompt, prompt_tokens

MODEL = LexicalCompressor()
ASKED = ChatMessage("What is the code of my locker?")
FACT = "Please note that the code of my locker is K-7319."


def block_of(**settings):
    return GistMemoryBlock(**{"model": MODEL, "tokens": 300, "on_error": "raise", **settings})


def chat(size, word="river"):
    found = []
    for n in range(size):
        found.append(
            ChatMessage(f"Question {n}. {FACT}" if n == 2 else f"Question {n}, about the {word} and the trees.")
        )
        found.append(ChatMessage(role="assistant", content=f"Answer {n}. It is a long way to the {word} from here."))
    return found


def tool_unit(number=1):
    ids = [f"c{number}", f"d{number}"]
    calls = [ToolCallBlock(tool_call_id=id_, tool_name="find", tool_kwargs={"q": "x"}) for id_ in ids]
    results = [
        ChatMessage(role="tool", content=f"Result of {id_}: 17 apples.", additional_kwargs={"tool_call_id": id_})
        for id_ in ids
    ]
    return [ChatMessage("Find it."), ChatMessage(role="assistant", blocks=calls), *results]


def put(block, messages, session="s"):
    asyncio.run(block.aput(copy.deepcopy(messages), from_short_term_memory=True, session_id=session))


def get(block, messages=None, session="s"):
    return asyncio.run(block.aget(messages, session_id=session))


def text_of(messages):
    return "\n".join(str(message.content) for message in messages)


def test_fields_are_the_shared_settings():
    shared = MemorySettings.__dataclass_fields__.keys() - {"high_water", "low_water", "keep_last"}
    base = {"name", "description", "priority", "accept_short_term_memory"}
    assert GistMemoryBlock.model_fields.keys() - base == {*shared, "tokens", "recall_tokens", "archive"}
    assert all(
        MemorySettings.__dataclass_fields__[n].default == GistMemoryBlock.model_fields[n].default for n in shared
    )
    assert GistMemoryBlock().priority == 1


def test_messages_stay_word_for_word_while_there_is_room():
    block = block_of()
    assert get(block) == []
    put(block, chat(3))
    assert get(block) == chat(3)


def test_then_gists_stand_for_them_within_the_tokens():
    block = block_of()
    for number in range(0, 200, 4):
        put(block, chat(200)[number : number + 4])
        content = get(block)
        assert prompt_tokens(content) <= 300
        check_prompt([*content, ASKED], 320)
    assert {type(message) for message in content} >= {GistMessage}
    assert all(message.role == "user" for message in content if isinstance(message, GistMessage))


def test_nothing_of_the_callers_is_changed_and_the_session_is_not_kept():
    archive = MemoryArchive()
    block, messages = block_of(archive=archive), chat(20)
    asyncio.run(block.aput(messages))
    assert messages == chat(20)
    asyncio.run(block.aput(messages, session_id="other"))
    assert archive.conversations() == ["default", "other"]
    for session in archive.conversations():
        assert [turn_to_message(turn) for turn in archive.turns(session)] == chat(20)
    assert asyncio.run(block.aget()) == asyncio.run(block.aget(session_id="default")) != []
    assert not any("session_id" in message.additional_kwargs for message in get(block, session="other"))


def test_sessions_are_kept_apart_at_once():
    block = block_of()
    words = [f"word{n}" for n in range(8)]

    async def one(word):
        for at in range(0, 60, 2):
            await block.aput(chat(30, word)[at : at + 2], session_id=word)
        return await block.aget([ASKED], session_id=word)

    async def go():
        return await asyncio.gather(*map(one, words))

    for word, content in zip(words, asyncio.run(go()), strict=True):
        assert word in text_of(content)
        assert not any(other in text_of(content) for other in words if other != word)


def test_what_is_recalled_comes_last_within_the_tokens():
    block = block_of(tokens=400, recall_tokens=80)
    plain = block_of(tokens=320)
    for some in (block, plain):
        put(some, chat(60))
    assert "K-7319" not in text_of(get(plain))
    content = get(block, [*chat(1), ASKED, ChatMessage(role="assistant", content="Let me think.")])
    assert content[:-1] == get(block) == get(plain)
    assert isinstance(content[-1], RecallMessage)
    assert "K-7319" in content[-1].content
    assert content[-1].recall.pieces
    assert content[-1].role == "user"
    assert prompt_tokens(content) <= 400
    assert prompt_tokens(content[-1:]) <= 80


def test_one_question_is_looked_up_once():
    model = LexicalCompressor()
    block = block_of(model=model, tokens=400, recall_tokens=80)
    put(block, chat(60))
    first = get(block, [ASKED])
    calls = model.calls
    assert get(block, [ASKED]) == first
    assert model.calls == calls
    put(block, chat(60))
    assert get(block, [ASKED]) != first
    assert get(block, [ChatMessage(role="assistant", content="x")]) == get(block, [ChatMessage(" ")]) == get(block)


def test_a_failed_recall_is_told_and_left_out():
    class Fails(LexicalCompressor):
        def compress(self, passages, *, query=None, **settings):
            if query:
                raise CompressionError("nan")
            return super().compress(passages, **settings)

    lenient, strict = (
        block_of(model=Fails(), tokens=400, recall_tokens=80, on_error=way) for way in ("original", "raise")
    )
    put(lenient, chat(60))
    put(strict, chat(60))
    with pytest.warns(GistWarning, match="nan"):
        assert get(lenient, [ASKED]) == get(lenient)
    with pytest.raises(CompressionError, match="nan"):
        get(strict, [ASKED])


@pytest.mark.parametrize("at", [2, 3])
def test_a_tool_unit_cut_in_two_is_whole_again(at):
    block, unit = block_of(), tool_unit()
    put(block, unit[:at])
    put(block, [*unit[at:], ChatMessage(role="assistant", content="Done.")])
    assert get(block)[:4] == unit
    check_prompt([*get(block), ASKED], 320)


@pytest.mark.parametrize("at", [2, 3])
def test_a_result_that_comes_after_its_call_went_into_a_gist_is_quoted(at):
    archive = MemoryArchive()
    block, unit = block_of(archive=archive), tool_unit()
    put(block, [*unit[:at], *chat(20)])
    put(block, unit[at:])
    content = get(block)
    check_prompt([*content, ASKED], 320)
    assert "Result of d1: 17 apples." in text_of(content)
    assert [turn_to_message(turn) for turn in archive.turns("s")] == [*unit[:at], *chat(20), *unit[at:]]


def test_a_result_whose_call_never_came_is_quoted(tmp_path):
    block = block_of(archive=SqlArchive(tmp_path / "chats.db"))
    put(block, tool_unit()[2:])
    content = get(block)
    check_prompt([*content, ASKED], 320)
    assert [message.role for message in content] == ["user", "user"]
    assert "\ntool returned: Result of c1: 17 apples." in content[0].content
    archive = SqlArchive(tmp_path / "chats.db")
    assert get(block_of(archive=archive)) == content
    assert [turn_to_message(turn) for turn in archive.turns("s")] == tool_unit()[2:]


def test_systems_messages_stay_first():
    block = block_of()
    put(block, [ChatMessage(role="system", content="Be kind."), *chat(30)])
    assert get(block)[0] == ChatMessage(role="system", content="Be kind.")
    check_prompt([*get(block), ASKED], 320)


def test_a_sql_archive_survives_a_restart(tmp_path):
    put(block_of(archive=SqlArchive(tmp_path / "chats.db")), chat(20))
    block = block_of(archive=SqlArchive(tmp_path / "chats.db"))
    before = get(block)
    assert any(isinstance(message, GistMessage) for message in before)
    put(block, chat(1))
    assert get(block)[: len(before)] == before


@pytest.mark.parametrize("recall", [0, 80])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6])
def test_truncation_squeezes(share, recall):
    block = block_of(tokens=600, recall_tokens=recall)
    put(block, [*chat(60), *tool_unit()])
    content = get(block, [ASKED])
    before = copy.deepcopy(content)
    size = estimate(content)
    cut = int(size * share)
    found = asyncio.run(block.atruncate(content, cut))
    assert content == before
    assert 0 < estimate(found) <= size - cut
    assert estimate(found) > (size - cut) / 2
    check_prompt([*found, ASKED], 620)
    assert "K-7319" not in text_of(found) or not recall or "K-7319" in text_of(content[:-1])


def estimate(messages):
    return Memory.from_defaults()._estimate_token_count(messages)


def test_truncation_drops_what_was_recalled_first():
    block = block_of(tokens=600, recall_tokens=80)
    put(block, chat(60))
    content = get(block, [ASKED])
    assert asyncio.run(block.atruncate(content, 20)) == content[:-1]


def test_what_cannot_be_squeezed_is_dropped():
    block = block_of()
    put(block, chat(20))
    content = get(block)
    assert asyncio.run(block.atruncate(content, estimate(content) - 2)) is None
    pinned = [ChatMessage("Stay. " * 40, additional_kwargs={"pinned": True})]
    assert asyncio.run(block.atruncate(pinned, 60)) is None
    assert not asyncio.run(block.atruncate([], 10))


def test_a_failed_truncation_is_told():
    content = chat(10)
    with pytest.warns(GistWarning, match="nan"):
        assert (
            asyncio.run(block_of(model=Broken(CompressionError("nan")), on_error="original").atruncate(content, 50))
            is None
        )
    with pytest.raises(CompressionError):
        asyncio.run(block_of(model=Broken(CompressionError("nan"))).atruncate(content, 50))


@pytest.mark.parametrize("insert_method", list(InsertMethod))
@pytest.mark.parametrize("limit", [500, 900])
def test_in_a_memory_nothing_goes_to_the_system_and_the_limit_holds(insert_method, limit):
    memory = Memory.from_defaults(
        token_limit=limit,
        chat_history_token_ratio=0.5,
        token_flush_size=100,
        insert_method=insert_method,
        memory_blocks=[block_of(tokens=400)],  # more than the smaller limit leaves
    )
    gists = 0
    for message in chat(40):
        memory.put(message)
        found = memory.get()
        assert estimate(found) <= limit
        assert {message.role.value for message in found} <= {"user", "assistant"}
        gists += any(isinstance(message, GistMessage) for message in found)
        if message.role == "assistant":
            check_prompt([*found, ASKED], limit * 2)
    assert gists > 20
    asyncio.run(memory.sql_store._async_engine.dispose())


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"tokens": 0}, InvalidInputError),
        ({"recall_tokens": 300}, InvalidInputError),
        ({"recall_tokens": -1}, InvalidInputError),
        ({"tokens": True}, pydantic.ValidationError),
        ({"model": "default", "device": "cuda:99"}, GistError),
        ({"tokenizer": "no-such"}, GistError),
        ({"high_water": 3}, pydantic.ValidationError),
    ],
)
def test_bad_settings_fail_at_construction(wrong, error):
    with pytest.raises(error):
        block_of(**wrong)


def test_copies_share_the_sessions():
    block = block_of()
    put(copy.deepcopy(block), chat(2))
    assert get(block) == get(block.model_copy()) == chat(2)
