"""The memories inside LlamaIndex's own agents and chat engines, with an LLM that refuses prompts as providers do."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager

import pytest
from llama_index.core import VectorStoreIndex
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ReActAgent
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine import CondensePlusContextChatEngine, SimpleChatEngine
from llama_index.core.memory import Memory
from llama_index.core.schema import TextNode
from llama_index.core.workflow import Context

from gist_core.memory import MemoryArchive
from gist_core.memory.sql import SqlArchive
from llamaindex_gist import GistMemory, GistMemoryBlock, GistMessage
from tests.helpers.lexical import LexicalCompressor
from tests.helpers.models import needs_default
from tests.helpers.scripted_llm import ScriptedLLM, price_of, prompt_tokens, question, shopkeeper, stock_of
from tests.helpers.stories import ANSWERS, QUESTIONS, STORIES
from tests.helpers.words import embed

# workflows look at all attributes of an agent, those that pydantic has deprecated too
pytestmark = pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecationWarning")
HIGH = 1_500
STEP = 700  # the system's prompt, and what one run adds before the memory takes it in
ASKED = "What is the code of my locker?"


def agent_of(llm, **settings):
    return FunctionAgent(
        tools=[price_of, stock_of], llm=llm, system_prompt="You keep a shop.", **{"timeout": None, **settings}
    )


def memory_of(**settings):
    return GistMemory.from_defaults(**{"model": LexicalCompressor(), "high_water": HIGH, **settings})


async def talk(agent, memory, numbers):
    """Runs an agent; gives the size of the memory's view after each turn."""
    sizes = []
    for number in numbers:
        answer = await agent.run(user_msg=question(number), memory=memory)
        assert answer.response.content.startswith(f"Answer {number}: ")
        assert len(answer.tool_calls) == number % 3
        sizes.append(prompt_tokens(await memory.aget()))
    return sizes


def messages_of(numbers):
    """How many messages the turns make: a question and an answer; calls and their results."""
    return sum(2 + (1 + number % 3 if number % 3 else 0) for number in numbers)


@pytest.mark.slow
@pytest.mark.parametrize("streaming", [True, False])
def test_function_agent_through_200_turns(streaming):
    llm, memory = ScriptedLLM(shopkeeper, limit=HIGH + STEP), memory_of(on_error="raise")
    sizes = asyncio.run(talk(agent_of(llm, streaming=streaming), memory, range(1, 201)))
    assert max(sizes) <= HIGH
    assert len(llm.prompts) == 200 + sum(number % 3 > 0 for number in range(1, 201))
    everything = memory.get_all()
    assert len(everything) == messages_of(range(1, 201))
    assert prompt_tokens(everything) > 20 * HIGH
    assert [m.content for m in everything if m.role == "user"] == [question(n) for n in range(1, 201)]
    shown = "\n".join(str(message.content) for message in memory.get())
    assert "K-7319" in shown + memory.recall(ASKED, 100).text


@needs_default
@pytest.mark.slow
def test_function_agent_with_the_default_model():
    llm, memory = ScriptedLLM(shopkeeper, limit=HIGH + STEP), memory_of(model="default", on_error="raise")
    sizes = asyncio.run(talk(agent_of(llm), memory, range(1, 21)))
    assert max(sizes) <= HIGH
    assert any(isinstance(message, GistMessage) for message in memory.get())
    shown = "\n".join(str(message.content) for message in memory.get())
    assert "K-7319" in shown + asyncio.run(memory.arecall(ASKED, 100)).text


def test_a_chat_goes_on_after_a_restart(tmp_path):
    for turns in (range(1, 31), range(31, 61)):
        memory = memory_of(archive=SqlArchive(tmp_path / "chats.db"), session_id="ann")
        llm = ScriptedLLM(shopkeeper, limit=HIGH + STEP)
        assert max(asyncio.run(talk(agent_of(llm), memory, turns))) <= HIGH
    assert len(memory.get_all()) == messages_of(range(1, 61))
    assert len(llm.prompts[0]) < 40


def test_chat_history_given_to_the_agent():
    async def go():
        memory = memory_of()
        agent = agent_of(ScriptedLLM(shopkeeper, limit=HIGH + STEP))
        await talk(agent, memory, range(1, 31))
        await agent.run(user_msg=question(31), chat_history=await memory.aget(), memory=memory)
        await agent.run(user_msg=question(32), chat_history=await memory.aget_all(), memory=memory)
        return memory

    memory = asyncio.run(go())
    assert len(memory.get_all()) == messages_of(range(1, 33))
    assert prompt_tokens(memory.get()) <= HIGH


def test_a_context_that_is_written_and_read_keeps_the_memory(tmp_path):
    async def go(memory):
        agent = agent_of(ScriptedLLM(shopkeeper, limit=HIGH + STEP))
        context = Context(agent)
        for number in range(1, 31):
            await agent.run(user_msg=question(number), memory=memory, ctx=context)
        context = Context.from_dict(agent, json.loads(json.dumps(context.to_dict())))
        await agent.run(user_msg=question(31), ctx=context)
        async with context.store.edit_state() as state:
            state["note"] = "edited"
        await agent.run(user_msg=question(32), ctx=context)
        return await (await context.store.get("memory")).aget()

    archive = SqlArchive(tmp_path / "chats.db")
    for memory in (memory_of(), memory_of(archive=archive)):
        assert asyncio.run(go(memory)) == memory.get()
        assert len(memory.get_all()) == messages_of(range(1, 33))


def test_state_in_the_prompt_does_not_enter_the_memory():
    async def go():
        memory = memory_of()
        workflow = AgentWorkflow(
            agents=[agent_of(ScriptedLLM(shopkeeper), name="shop", description="")],
            root_agent="shop",
            initial_state={"open": True},
        )
        context = Context(workflow)
        for number in (1, 2):
            await workflow.run(user_msg=question(number), memory=memory, ctx=context)
        return memory

    memory = asyncio.run(go())
    assert [m.content for m in memory.get() if m.role == "user"] == [question(1), question(2)]


@pytest.mark.filterwarnings("ignore:is_running called:DeprecationWarning")
def test_react_agent():
    def think(messages):
        last = messages[-1].content
        number = int(
            re.findall(r"Question (\d+)", next(m.content for m in reversed(messages) if "Question" in m.content))[0]
        )
        if last.startswith("Observation:") or number % 2:
            return ChatMessage(role="assistant", content=f"Thought: I know.\nAnswer: Answer {number}: so it is.")
        action = f'Thought: Let me see.\nAction: stock_of\nAction Input: {{"item": "item {number}"}}'
        return ChatMessage(role="assistant", content=action)

    async def go():
        memory = memory_of(high_water=600)
        agent = ReActAgent(tools=[price_of, stock_of], llm=ScriptedLLM(think, limit=2_000), timeout=None)
        for number in range(1, 41):
            answer = await agent.run(user_msg=question(number), memory=memory)
            assert answer.response.content == f"Answer {number}: so it is."
            assert prompt_tokens(await memory.aget()) <= 600
        return memory

    assert len(asyncio.run(go()).get_all()) == 80


def echo(messages):
    return ChatMessage(role="assistant", content=f"You said: {messages[-1].content[:40]} That is a long way from here.")


@pytest.mark.parametrize("way", ["chat", "achat", "stream_chat", "astream_chat"])
def test_simple_chat_engine(way):
    llm, memory = ScriptedLLM(echo, limit=460), memory_of(high_water=400)
    engine = SimpleChatEngine.from_defaults(llm=llm, memory=memory, system_prompt="You are a friend.")

    async def say(text):
        if way == "achat":
            return (await engine.achat(text)).response
        if way == "astream_chat":
            stream = await engine.astream_chat(text)
            return "".join([token async for token in stream.async_response_gen()])
        if way == "stream_chat":
            return "".join(engine.stream_chat(text).response_gen)
        return engine.chat(text).response

    async def go():
        for number in range(1, 41):
            assert (await say(question(number))).startswith(f"You said: Question {number}")

    asyncio.run(go())
    assert len(engine.chat_history) == 80
    assert prompt_tokens(memory.get()) <= 400
    engine.reset()
    assert memory.get_all() == []


def test_a_chat_engine_makes_its_own_memory():
    llm = ScriptedLLM(echo, limit=460)
    history = [ChatMessage("Hello."), ChatMessage(role="assistant", content="Hello.")]
    engine = SimpleChatEngine.from_defaults(llm=llm, memory_cls=GistMemory, chat_history=history)
    assert engine.chat("How are you?").response.startswith("You said: How")
    assert isinstance(engine._memory, GistMemory)
    assert engine._memory.high_water == llm.metadata.context_window - 256
    assert len(engine.chat_history) == 4


class Words(BaseEmbedding):
    def _get_text_embedding(self, text):
        return embed(text)

    def _get_query_embedding(self, query):
        return embed(query)

    async def _aget_query_embedding(self, query):
        return embed(query)


@pytest.mark.parametrize("mode", ["context", "condense_plus_context"])
def test_chat_engines_over_an_index(mode):
    index = VectorStoreIndex([TextNode(text=text) for text in STORIES.values()], embed_model=Words())
    llm, memory = ScriptedLLM(echo, limit=3_000), memory_of(high_water=400)
    engine = index.as_chat_engine(chat_mode=mode, llm=llm, memory=memory, similarity_top_k=1)
    assert mode == "context" or isinstance(engine, CondensePlusContextChatEngine)
    for name in list(STORIES) * 5:
        engine.chat(QUESTIONS[name])
        asyncio.run(engine.achat(QUESTIONS[name]))
        assert prompt_tokens(memory.get()) <= 400
    assert len(engine.chat_history) == 4 * 5 * len(STORIES)
    assert any(ANSWERS[name] in str(prompt) for name in STORIES for prompt in llm.prompts[-4:])
    assert not any("blocks" in str(m.content) or "tokens_in" in str(m.content) for p in llm.prompts for m in p)


def block_of(**settings):
    return GistMemoryBlock(model=LexicalCompressor(), on_error="raise", **settings)


@asynccontextmanager
async def short_memory(block, session=None, limit=2_500):
    memory = Memory.from_defaults(
        session_id=session, token_limit=limit, token_flush_size=300, chat_history_token_ratio=0.5, memory_blocks=[block]
    )
    yield memory
    await memory.sql_store._async_engine.dispose()


@pytest.mark.slow
def test_function_agent_with_a_memory_block_through_200_turns():
    block = block_of(tokens=800, archive=MemoryArchive())
    recalling = block_of(tokens=1_000, recall_tokens=200, archive=block.archive)
    llm = ScriptedLLM(shopkeeper, limit=2_500 + STEP)

    async def go():
        async with short_memory(block) as memory:
            sizes = await talk(agent_of(llm), memory, range(1, 201))
            content = await block.aget(session_id=memory.session_id)
            return sizes, content, await recalling.aget([ChatMessage(ASKED)], session_id=memory.session_id)

    sizes, content, answer = asyncio.run(go())
    assert max(sizes) <= 2_500
    assert prompt_tokens(content) <= 800
    assert any(isinstance(message, GistMessage) for message in content)
    assert answer[: len(content)] == content
    assert "K-7319" in "\n".join(str(message.content) for message in answer)


def test_two_sessions_of_agents_on_one_block():
    block = block_of(tokens=600)

    async def one(name, first):
        async with short_memory(block, name, limit=1_600) as memory:
            agent = agent_of(ScriptedLLM(shopkeeper, limit=1_600 + STEP))
            await talk(agent, memory, range(first, first + 30))
            return await block.aget(session_id=name)

    async def go():
        return await asyncio.gather(one("ann", 1), one("bob", 1_000))

    ann, bob = (" ".join(str(message.content) for message in found) for found in asyncio.run(go()))
    assert ann
    assert bob
    assert not re.search(r"(item|Question|Answer) 10\d\d\b", ann)
    assert not re.search(r"(item|Question|Answer) \d\d?\b", bob)
