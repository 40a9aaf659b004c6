"""GistChatMessageHistory by itself and inside RunnableWithMessageHistory, really run."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.chat_history import BaseChatMessageHistory, InMemoryChatMessageHistory
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.runnables.history import RunnableWithMessageHistory

from gist_core.memory import MemoryArchive
from langchain_gist import GistChatMessageHistory
from tests.helpers.lexical import LexicalCompressor
from tests.helpers.scripted import FACT, ScriptedChatModel, conversation, prompt_tokens, question

pytestmark = (
    pytest.mark.filterwarnings(  # LangChain would have its users on LangGraph's memory; these are there all the same
        "ignore:The class `InMemoryChatMessageHistory` was deprecated",
        "ignore:RunnableWithMessageHistory is deprecated",
    )
)
SMALL = {"high_water": 800, "low_water": 400, "keep_last": 4}


def answer(messages):
    return AIMessage(f"Noted, message {len(messages)}: {messages[-1].content}")


@pytest.fixture
def history():
    return GistChatMessageHistory(InMemoryChatMessageHistory(), model=LexicalCompressor(), **SMALL)


def fill(history, turns=60):
    for turn in range(1, turns + 1):
        history.add_messages([question(turn), AIMessage(f"Noted, matter {turn}.")])


def test_the_view_is_small_and_the_originals_stay(history):
    assert isinstance(history, BaseChatMessageHistory)
    assert history.messages == []
    fill(history)
    assert len(history.inner.messages) == 120
    assert prompt_tokens(history.messages) <= 800 < prompt_tokens(history.inner.messages)
    assert all(a is b for a, b in zip(history.messages[-4:], history.inner.messages[-4:], strict=True))
    assert asyncio.run(history.aget_messages()) == history.messages


def test_single_messages_and_the_async_way_are_written_too(history):
    history.add_user_message("Hello?")
    history.add_ai_message("Hello!")
    asyncio.run(history.aadd_messages([HumanMessage("Still there?")]))
    assert [m.content for m in history.inner.messages] == ["Hello?", "Hello!", "Still there?"]
    assert history.messages == history.inner.messages
    assert "Still there?" in str(history)


def test_recall_finds_what_the_view_no_longer_says(history):
    fill(history, turns=100)
    asked = "When does my locker code expire?"
    found = history.recall(asked, tokens=200)
    shown = "\n".join(str(message.content) for message in history.messages)
    assert FACT in found.text or FACT in shown
    assert found.tokens <= 200
    assert asyncio.run(history.arecall(asked, tokens=200)) == found


@pytest.mark.parametrize("way", ["sync", "async"])
def test_clear_forgets_all(way):
    archive = MemoryArchive()
    history = GistChatMessageHistory(
        InMemoryChatMessageHistory(), conversation="c", archive=archive, model=LexicalCompressor(), **SMALL
    )
    fill(history)
    assert history.messages
    assert archive.conversations() == ["c"]
    if way == "sync":
        history.clear()
    else:
        asyncio.run(history.aclear())
    assert (history.messages, history.inner.messages, archive.conversations()) == ([], [], [])
    history.add_user_message("A new beginning.")
    assert [message.content for message in history.messages] == ["A new beginning."]


def test_an_archive_carries_gists_to_the_next_object():
    archive, inner, model = MemoryArchive(), InMemoryChatMessageHistory(), LexicalCompressor()
    options = {"conversation": "c", "archive": archive, "model": model, **SMALL}
    one = GistChatMessageHistory(inner, **options)
    fill(one)
    view = [(m.type, m.content) for m in one.messages]
    calls = model.calls
    other = GistChatMessageHistory(inner, **options)
    assert [(m.type, m.content) for m in other.messages] == view
    assert model.calls == calls


@pytest.mark.parametrize("way", ["sync", "async"])
def test_in_runnable_with_message_history(way):
    model = ScriptedChatModel(script=answer, limit=900)
    shared = LexicalCompressor()
    histories: dict[str, GistChatMessageHistory] = {}

    def of(session: str) -> GistChatMessageHistory:
        return histories.setdefault(
            session, GistChatMessageHistory(InMemoryChatMessageHistory(), conversation=session, model=shared, **SMALL)
        )

    chain = RunnableWithMessageHistory(model, of)

    async def run() -> None:
        for turn in range(1, 41):
            for session in ("a", "b"):
                config = {"configurable": {"session_id": session}}
                if way == "sync":
                    chain.invoke([question(turn)], config)
                else:
                    await chain.ainvoke([question(turn)], config)

    asyncio.run(run())
    for session in ("a", "b"):
        stored = histories[session].inner.messages
        assert [message.type for message in stored] == ["human", "ai"] * 40
        assert [message.content for message in stored[::2]] == [question(turn).content for turn in range(1, 41)]
    assert max(model.sizes) <= 900


def test_tool_calls_in_a_history_stay_with_their_results(history):
    history.add_messages(conversation(30)[1:])
    view = history.messages
    answered = {message.tool_call_id for message in view if message.type == "tool"}
    assert answered == {call["id"] for message in view if message.type == "ai" for call in message.tool_calls}
