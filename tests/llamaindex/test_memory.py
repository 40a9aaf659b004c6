"""GistMemory: what any LlamaIndex memory must do, and what ours promises."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import pickle
import threading
from contextlib import contextmanager

import pydantic
import pytest
from llama_index.core.base.llms.types import ChatMessage, ImageBlock, TextBlock, ToolCallBlock
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.llms import MockLLM

from gist_core import load_compressor
from gist_core.errors import CompressionError, DeviceError, GistError, InvalidInputError, TokenizerError
from gist_core.fallback import GistWarning
from gist_core.memory import MemoryArchive
from gist_core.memory.sql import SqlArchive
from gist_core.settings import MemorySettings
from llamaindex_gist import GistMemory, GistMemoryEvent, GistMessage
from tests.helpers.lexical import Broken, LexicalCompressor, count_words
from tests.helpers.models import needs_default
from tests.helpers.scripted_llm import check_prompt, prompt_tokens

HIGH = 500
FACT = "Please note that the code of my locker is K-7319."
MODEL = LexicalCompressor()


def user(text, **kwargs):
    return ChatMessage(role="user", content=text, additional_kwargs=kwargs)


def assistant(text):
    return ChatMessage(role="assistant", content=text)


def chat(size, start=0):
    """So many messages; every sixth pair of them with a call of a tool and its result."""
    found = []
    for n in range(start, start + size):
        found.append(user(f"Question {n}. {FACT}" if n == 2 else f"Question {n}, about the river and the trees there."))
        if n % 6 == 5:
            call = ToolCallBlock(tool_call_id=f"c{n}", tool_name="find", tool_kwargs={"number": n})
            found.append(ChatMessage(role="assistant", blocks=[call]))
            kwargs = {"tool_call_id": f"c{n}"}
            found.append(ChatMessage(role="tool", content=f"Found {n} of them. None is new.", additional_kwargs=kwargs))
        found.append(assistant(f"Answer {n}. It is a long way to the river from here."))
    return found


def memory_of(**settings):
    return GistMemory.from_defaults(**{"model": MODEL, "high_water": HIGH, "keep_last": 4, **settings})


def contents(messages):
    return [message.content for message in messages]


def test_fields_are_the_shared_settings():
    fields = dict(GistMemory.model_fields)
    assert fields.keys() - {"session_id", "archive"} == MemorySettings.__dataclass_fields__.keys()
    for name, field in MemorySettings.__dataclass_fields__.items():
        assert fields[name].default == field.default
    assert all(field.description for field in fields.values())


def test_with_no_settings():
    memory = GistMemory.from_defaults()
    assert memory.get() == memory.get_all() == []
    assert GistMemory.from_defaults().session_id != memory.session_id


def test_below_the_mark_it_is_any_memory():
    memory = memory_of(chat_history=chat(2))
    memory.put(user("Hello"))
    assert memory.get() == memory.get_all() == [*chat(2), user("Hello")]
    assert memory.get(input="what?", initial_token_count=7) == memory.get()
    memory.set(chat(1))
    assert memory.get() == memory.get_all() == chat(1)
    memory.reset()
    assert memory.get() == memory.get_all() == []


def test_the_view_never_exceeds_the_mark_and_nothing_is_lost():
    memory = memory_of()
    messages = [ChatMessage(role="system", content="Be kind."), user("Mind the gap.", pinned=True), *chat(60)]
    before = copy.deepcopy(messages)
    for at, message in enumerate(messages, 1):
        memory.put(message)
        view = memory.get()
        assert prompt_tokens(view) <= HIGH
        assert view[0] == messages[0]
        assert at < 2 or messages[1] in view
        assert view[-min(at, 4) :] == messages[max(0, at - 4) : at]
        if at > 2 and message.role == "assistant" and message.content:
            check_prompt(view, HIGH)
    assert messages == before
    assert memory.get_all() == messages
    gists = [message for message in memory.get() if isinstance(message, GistMessage)]
    assert gists
    assert all(message.role == "user" for message in gists)
    named = [id_ for message in gists for id_ in message.gist.turns]
    assert len(named) == len(set(named))


def test_gists_stay_byte_for_byte_while_there_is_room():
    memory = memory_of()
    same, steps, last = 0, 0, []
    for message in chat(120):
        memory.put(message)
        view = contents(memory.get())
        same += view[: len(last)] == last
        steps += 1
        last = view
    assert same / steps > 0.75


def test_several_messages_at_once_are_one_step():
    memory = memory_of()
    with seen_events() as events:
        memory.put_messages(chat(30))
    assert memory.get_all() == chat(30)
    assert len(events) == 1
    check_prompt(memory.get(), HIGH)


def test_async_is_the_same_and_off_the_event_loop():
    threads = set()

    class Threads(LexicalCompressor):
        def compress(self, *args, **kwargs):
            threads.add(threading.current_thread())
            return super().compress(*args, **kwargs)

    async def talk(memory):
        await memory.aset(chat(20))
        for message in chat(20, start=20):
            await memory.aput(message)
        await memory.aput_messages(chat(5, start=40))
        assert await memory.aget_all() == chat(45)
        found = await memory.arecall("What is the code of my locker?", 60)
        view = await memory.aget("input")
        await memory.areset()
        return found, view, await memory.aget()

    memory = memory_of(model=Threads())
    found, view, after = asyncio.run(talk(memory))
    plain = memory_of(chat_history=chat(20))
    for message in chat(20, start=20):
        plain.put(message)
    plain.put_messages(chat(5, start=40))
    assert view == plain.get()
    assert found == plain.recall("What is the code of my locker?", 60)
    assert after == []
    assert threads
    assert threading.main_thread() not in threads


def test_recall_finds_what_the_view_shows_no_more():
    memory = memory_of(chat_history=chat(60))
    assert "K-7319" not in str(contents(memory.get()))
    found = memory.recall("What is the code of my locker?", tokens=60)
    assert "K-7319" in found.text
    assert found.tokens <= 60
    (turn,) = {piece.turn for piece in found.pieces if "K-7319" in piece.text}
    assert FACT in memory.get_all()[int(turn.split("-")[1])].content


@needs_default
def test_with_the_default_model():
    memory = GistMemory.from_defaults(high_water=HIGH, on_error="raise")
    memory.put_messages(chat(40))
    check_prompt(memory.get(), HIGH)
    whole = "\n".join(contents(memory.get())) + memory.recall("What is the code of my locker?", 80).text
    assert "K-7319" in whole


def test_set_with_what_get_gave_goes_on():
    memory = memory_of(chat_history=chat(40))
    view = memory.get()
    assert any(isinstance(message, GistMessage) for message in view)
    memory.set(view)
    assert memory.get() == view
    memory.set([*view, user("And now?")])
    assert memory.get_all() == [*chat(40), user("And now?")]
    assert contents(memory.get())[:-1] == contents(view)


def test_set_with_what_get_all_gave_goes_on():
    memory = memory_of(chat_history=chat(40))
    view = memory.get()
    memory.set([*memory.get_all(), user("And now?")])
    assert contents(memory.get())[:-1] == contents(view)
    assert memory.get_all() == [*chat(40), user("And now?")]


def test_set_with_anything_else_replaces():
    memory = memory_of(chat_history=chat(40))
    edited = [*memory.get_all()[:-1], assistant("Another answer.")]
    memory.set(edited)
    assert memory.get_all() == edited
    shorter = [*memory.get()[:-2], user("Let us start again from here.")]
    memory.set(shorter)
    assert memory.get_all() == [*chat(40)[:-2], shorter[-1]]
    memory.set([])
    assert memory.get_all() == memory.get() == []


def test_a_gist_of_another_conversation_is_what_it_says():
    gist = next(m for m in memory_of(chat_history=chat(40)).get() if isinstance(m, GistMessage))
    memory = memory_of(chat_history=[gist, assistant("I see.")])
    assert contents(memory.get_all()) == [gist.content, "I see."]
    memory.put_messages(chat(40))
    check_prompt(memory.get(), HIGH)


def test_images_stay_whole_or_go():
    image = ChatMessage(role="user", blocks=[TextBlock(text="My cat."), ImageBlock(url="https://example.org/cat.png")])
    memory = memory_of(chat_history=[image, assistant("Nice.")])
    assert image in memory.get()
    memory.put_messages(chat(40))
    assert image not in memory.get()
    assert memory.get_all()[0] == image


def test_what_agents_write_into_the_view_does_not_stay():
    memory = memory_of(chat_history=chat(2))
    memory.get()[-1].blocks[0].text = "state: ..."
    assert memory.get() == memory.get_all() == chat(2)


class Events(BaseEventHandler):
    seen: list

    def handle(self, event, **_):
        if isinstance(event, GistMemoryEvent):
            self.seen.append(event)


@contextmanager
def seen_events():
    handler = Events(seen=[])
    get_dispatcher().add_event_handler(handler)
    try:
        yield handler.seen
    finally:
        get_dispatcher().event_handlers.remove(handler)


def test_events_carry_the_numbers():
    memory = memory_of(session_id="s-1")
    with seen_events() as events:
        memory.put_messages(chat(40))
        asyncio.run(memory.aput(user("Hello")))
    first, second = events
    assert (first.session, first.class_name()) == ("s-1", "GistMemoryEvent")
    assert first.tokens_in == prompt_tokens(chat(40))
    assert second.tokens_in > first.tokens_in > HIGH >= second.tokens_out == prompt_tokens(memory.get()) >= 0
    assert first.milliseconds > 0
    assert first.span_id


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"high_water": 0}, InvalidInputError),
        ({"low_water": HIGH + 1}, InvalidInputError),
        ({"keep_last": -1}, InvalidInputError),
        ({"device": "gpu"}, DeviceError),
        ({"tokenizer": "no-such"}, TokenizerError),
        ({"model": ""}, GistError),
        ({"keep": ["("]}, pydantic.ValidationError),
        ({"archive": {}}, pydantic.ValidationError),
        ({"limit": 3}, pydantic.ValidationError),
        ({"high_water": True}, pydantic.ValidationError),
        ({"model": "default", "device": "cuda:99"}, DeviceError),
        ({"on_error": "ignore"}, pydantic.ValidationError),
    ],
)
def test_bad_settings_fail_at_construction(wrong, error):
    with pytest.raises(error):
        memory_of(**wrong)


def test_settings_do_not_change():
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        memory_of().high_water = 7


def test_what_chat_engines_pass_is_taken():
    assert GistMemory.from_defaults(chat_history=[], llm=MockLLM(), token_limit=500, model=MODEL).high_water == 500
    assert GistMemory.from_defaults(token_limit=500, high_water=400, model=MODEL).high_water == 400
    assert GistMemory.from_defaults(llm=MockLLM(), model=MODEL).high_water == 8_000


def test_a_model_that_loads_by_a_name_is_saved_by_it():
    memory = memory_of(model=load_compressor(), chat_history=chat(3))
    for data in dumps_of(memory):
        data.pop("handle")
        again = GistMemory.from_dict(data)
        assert (again.model, again.get_all()) == ("default", chat(3))


def test_a_failure_leaves_the_messages_as_they_were():
    memory = memory_of(model=Broken(CompressionError("nan")))
    with pytest.warns(GistWarning, match="nan"):
        memory.put_messages(chat(40))
    assert memory.get() == memory.get_all() == chat(40)
    strict = memory_of(model=Broken(CompressionError("nan")), on_error="raise")
    with pytest.raises(CompressionError):
        asyncio.run(strict.aput_messages(chat(40)))


def dumps_of(memory):
    return [memory.to_dict(), json.loads(memory.to_json()), memory.model_dump(), json.loads(memory.model_dump_json())]


def test_dict_json_and_pickle_take_the_conversation_along():
    memory = memory_of(chat_history=[user("lone \ud800"), *chat(40)], keep=["K-\\d+"], session_id="s-1")
    assert "K-7319" in str(contents(memory.get()))
    for data in dumps_of(memory):
        assert (data["class_name"], data["model"], "archive" in data) == ("GistMemory", None, False)
        again = GistMemory.from_dict(data, model=MODEL)
        check_same(again, memory)
        again.put(user("Hello"))
        assert len(again.get_all()) == len(memory.get_all()) + 1
    again = pickle.loads(pickle.dumps(memory))
    check_same(again, memory)
    again.reset()
    assert memory.get_all()
    assert GistMemory.model_json_schema()["properties"]["class_name"]


def test_a_dump_leads_to_the_memory_while_it_lives():
    memory = memory_of(chat_history=chat(40), keep=["K-\\d+"], tokenizer=count_words)
    dumps = dumps_of(memory)
    for data in dumps:
        again = GistMemory.from_dict(data)
        again.put(user("Hello"))
        assert again.get_all() == memory.get_all()
        assert (again.model, again.tokenizer) == (memory.model, memory.tokenizer)
    assert len(memory.get_all()) == len(chat(40)) + len(dumps)
    small = GistMemory.from_dict(data, model=MODEL, tokenizer=count_words, high_water=HIGH // 2)
    small.put_messages(chat(20))
    assert len(memory.get_all()) == len(chat(40)) + len(dumps)
    del memory, again
    gc.collect()
    with pytest.raises(GistError, match="model is None"):
        GistMemory.from_dict(data)
    with pytest.raises(GistError, match="None"):
        GistMemory.from_dict(data, model=MODEL)
    again = GistMemory.from_dict(data, model=MODEL, tokenizer=count_words)
    assert again.get_all() == chat(40)


def check_same(one, other):
    assert {name: getattr(one, name) for name in GistMemory.model_fields if name not in ("model", "archive")} == {
        name: getattr(other, name) for name in GistMemory.model_fields if name not in ("model", "archive")
    }
    assert one.get() == other.get()
    assert [m.gist for m in one.get() if isinstance(m, GistMessage)] == [
        m.gist for m in other.get() if isinstance(m, GistMessage)
    ]
    assert one.get_all() == other.get_all()


def test_with_an_archive_only_the_settings_are_in_the_dump(tmp_path):
    memory = memory_of(archive=SqlArchive(tmp_path / "chats.db"), chat_history=chat(40))
    for data in dumps_of(memory):
        assert data["conversation"] is None
        assert GistMemory.from_dict(data).archive is memory.archive
        with pytest.raises(InvalidInputError, match="archive"):
            GistMemory.from_dict(data, model=MODEL)
        check_same(GistMemory.from_dict(data, model=MODEL, archive=SqlArchive(tmp_path / "chats.db")), memory)
    check_same(pickle.loads(pickle.dumps(memory)), memory)


def test_copies_share_the_conversation():
    memory = memory_of(chat_history=chat(40))
    for other in (copy.copy(memory), copy.deepcopy(memory), memory.model_copy(), memory.model_copy(deep=True)):
        other.put(user("Hello"))
        assert other.get() == memory.get()
    assert len(memory.get_all()) == len(chat(40)) + 4


def test_an_archive_survives_a_restart(tmp_path):
    path = tmp_path / "chats.db"
    memory = memory_of(archive=SqlArchive(path), session_id="s-1")
    memory.put_messages(chat(30))
    memory_of(archive=SqlArchive(path), session_id="s-2", chat_history=chat(2, start=100))
    again = memory_of(archive=SqlArchive(path), session_id="s-1")
    check_same(again, memory)
    for message in chat(30, start=30):
        again.put(message)
        memory.put(message)
    assert again.get() == memory.get()
    assert again.get_all() == chat(60)
    assert "K-7319" in again.recall("What is the code of my locker?", 60).text
    assert memory_of(archive=SqlArchive(path), session_id="s-2").get_all() == chat(2, start=100)
    again.reset()
    assert SqlArchive(path).conversations() == ["s-2"]


def test_one_archive_keeps_sessions_apart():
    archive = MemoryArchive()
    one, two = (memory_of(archive=archive, session_id=name) for name in ("one", "two"))

    async def talk():
        await asyncio.gather(*(one.aput(m) for m in chat(40)), *(two.aput(m) for m in chat(40, start=500)))

    asyncio.run(talk())
    assert sorted(contents(one.get_all()), key=str) == sorted(contents(chat(40)), key=str)
    assert sorted(contents(two.get_all()), key=str) == sorted(contents(chat(40, start=500)), key=str)
    assert archive.conversations() == ["one", "two"]
