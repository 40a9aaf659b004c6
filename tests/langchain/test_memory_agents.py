"""Agents through 200 turns on a model that refuses what a provider refuses."""

from __future__ import annotations

import asyncio
import json

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.prebuilt import create_react_agent
from langgraph.types import Command

from gist_core.errors import CompressionError, InvalidInputError
from gist_core.fallback import GistWarning
from gist_core.memory import MemoryArchive
from gist_core.tokens import token_counter
from langchain_gist import GistMiddleware, gist_pre_model_hook, gist_rewrite_hook
from langchain_gist.memory import hooks, turn_to_message
from tests.helpers.lexical import Broken, LexicalCompressor
from tests.helpers.models import needs_default
from tests.helpers.scripted import FACT, SYSTEM, ScriptedChatModel, add, look_up, prompt_tokens, question, script

TURNS = 200
LIMIT = 1_500
WAYS = ["sync", "async"]
TOOLS = [look_up, add]
SETTINGS = {"high_water": LIMIT, "keep_last": 4, "keep": ["locker code"]}
react = pytest.mark.filterwarnings("ignore:create_react_agent has been moved")


def lead(agent, turns, way, thread="thread-1"):
    """Leads a conversation with an agent that has a checkpointer; gives the messages of its state."""
    config = {"configurable": {"thread_id": thread}}

    async def run():
        for turn in range(1, turns + 1):
            given = {"messages": [question(turn)]}
            await agent.ainvoke(given, config) if way == "async" else agent.invoke(given, config)

    asyncio.run(run())
    return agent.get_state(config).values["messages"]


def text(messages):
    return "\n".join(str(message.content) for message in messages)


def check_whole(messages, turns=TURNS):
    """The state holds every message, in order, with nothing of ours among them."""
    assert [m.content for m in messages if m.type == "human"] == [question(n).content for n in range(1, turns + 1)]
    assert len([m for m in messages if m.type == "tool"]) == turns * 4 // 5
    assert not any("gist" in m.additional_kwargs for m in messages)


def agent_of(model, middleware, tools=TOOLS):
    return create_agent(model, tools, system_prompt=SYSTEM, middleware=[middleware], checkpointer=InMemorySaver())


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_create_agent_through_200_turns(way):
    model = ScriptedChatModel(limit=LIMIT)
    memory = GistMiddleware(model=LexicalCompressor(), **SETTINGS)
    messages = lead(agent_of(model, memory), TURNS, way)
    check_whole(messages)
    assert len(model.sizes) == TURNS + TURNS * 3 // 5
    assert max(model.sizes) <= LIMIT < prompt_tokens(messages) / 10
    assert FACT in text(model.last)
    assert model.last[0].content == SYSTEM
    assert [turn_to_message(turn) for turn in memory.archive.turns("thread-1")[1:]] == messages[: len(messages) - 1]


@needs_default
@pytest.mark.slow
def test_create_agent_with_the_default_model():
    model = ScriptedChatModel(limit=LIMIT)
    memory = GistMiddleware(on_error="raise", high_water=LIMIT)
    check_whole(lead(agent_of(model, memory), 30, "sync"), 30)
    recalled = memory.recall_tool().invoke({"query": "When does my locker code expire?"})
    assert recalled == "Nothing was found in the earlier conversation."  # there is no thread here
    assert FACT in memory._views.recall("When does my locker code expire?", 300, "thread-1").text + text(model.last)


@react
@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_create_react_agent_with_the_view_hook_through_200_turns(way):
    model = ScriptedChatModel(limit=LIMIT)
    hook = gist_pre_model_hook(model=LexicalCompressor(), **SETTINGS)
    messages = lead(create_react_agent(model, TOOLS, pre_model_hook=hook, checkpointer=InMemorySaver()), TURNS, way)
    check_whole(messages)
    assert FACT in text(model.last)


@react
@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_create_react_agent_with_the_rewriting_hook_through_200_turns(way):
    model, archive = ScriptedChatModel(limit=LIMIT), MemoryArchive()
    hook = gist_rewrite_hook(model=LexicalCompressor(), archive=archive, **SETTINGS)
    agent = create_react_agent(model, TOOLS, pre_model_hook=hook, checkpointer=InMemorySaver())
    messages = lead(agent, TURNS, way)
    assert prompt_tokens(messages) < 1.5 * LIMIT
    assert FACT in text(model.last)
    originals = [turn_to_message(turn) for turn in archive.turns("thread-1")]
    check_whole([*originals, messages[-1]])
    assert len({message.id for message in originals}) == len(originals)


def test_a_node_before_the_model_in_a_graph_of_ones_own():
    model = ScriptedChatModel(limit=LIMIT, script=lambda messages: ScriptedChatModel().script(messages[-1:]))
    graph = StateGraph(MessagesState)
    graph.add_node("compact", gist_rewrite_hook(model=LexicalCompressor(), high_water=300, keep_last=2))
    graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "compact")
    graph.add_edge("compact", "model")
    graph.add_edge("model", END)
    agent = graph.compile(checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "t"}}
    for turn in range(1, 42, 10):
        agent.invoke({"messages": [question(turn)]}, config)
        agent.invoke({"messages": [question(turn + 2)]}, config)
    assert agent.get_state(config).values["messages"][0].additional_kwargs["gist"]
    assert max(model.sizes) <= 300


def test_the_hooks_word_for_removal_is_langgraphs():
    assert hooks._REMOVE_ALL == REMOVE_ALL_MESSAGES


def test_threads_do_not_see_each_other():
    model = ScriptedChatModel(limit=LIMIT)
    memory = GistMiddleware(model=LexicalCompressor(), **SETTINGS)
    agent = agent_of(model, memory)
    lead(agent, 12, "sync", "one")
    config = {"configurable": {"thread_id": "two"}}
    agent.invoke({"messages": [question(1)]}, config)
    assert FACT not in text(model.last)
    assert memory.archive.conversations() == ["one", "two"]


def test_without_checkpointer_and_thread():
    model = ScriptedChatModel(limit=LIMIT)
    memory = GistMiddleware(model=LexicalCompressor(), conversation="only", **SETTINGS)
    agent = create_agent(model, TOOLS, middleware=[memory])
    messages = []
    for turn in range(1, 31):
        messages = agent.invoke({"messages": [*messages, question(turn)]})["messages"]
    check_whole(messages, 30)
    assert memory.archive.conversations() == ["only"]


@pytest.mark.parametrize("way", WAYS)
def test_an_agent_inside_a_tool_has_a_conversation_of_its_own(way):
    memory = GistMiddleware(model=LexicalCompressor(), high_water=LIMIT, keep_last=4)
    inner = create_agent(ScriptedChatModel(script=lambda _: AIMessage("From inside.")), [], middleware=[memory])

    @tool
    def ask_inside(question: str) -> str:
        """Asks another agent."""
        return inner.invoke({"messages": [("user", question)]})["messages"][-1].content

    def ask(messages):
        if messages[-1].content != "Ask inside.":
            return script(messages) if messages[-1].name != "ask_inside" else AIMessage("So it said.")
        return AIMessage("", tool_calls=[{"name": "ask_inside", "args": {"question": "Well?"}, "id": "ask-1"}])

    model = ScriptedChatModel(script=ask, limit=LIMIT)
    agent = agent_of(model, memory, [*TOOLS, ask_inside])
    lead(agent, 30, way)
    before, calls = text(model.last), memory._views.settings.model.calls
    given, config = {"messages": [("user", "Ask inside.")]}, {"configurable": {"thread_id": "thread-1"}}
    state = asyncio.run(agent.ainvoke(given, config)) if way == "async" else agent.invoke(given, config)
    assert [message.content for message in state["messages"][-2:]] == ["From inside.", "So it said."]
    assert memory.archive.conversations() == ["thread-1", "thread-1/tools"]
    assert [turn.content for turn in memory.archive.turns("thread-1/tools")] == ["Well?"]
    assert text(model.last).startswith(before[:200])
    assert memory._views.settings.model.calls - calls <= 2


def test_the_system_prompt_counts():
    model = ScriptedChatModel(limit=LIMIT)
    memory = GistMiddleware(model=LexicalCompressor(), high_water=LIMIT, keep_last=2)
    agent = create_agent(
        model, TOOLS, system_prompt="Be careful. " * 300, middleware=[memory], checkpointer=InMemorySaver()
    )
    check_whole(lead(agent, 20, "sync"), 20)
    assert max(model.sizes) > LIMIT / 2


@pytest.mark.parametrize("way", WAYS)
def test_failure_leaves_the_prompt_as_it_was(way):
    model = ScriptedChatModel()
    memory = GistMiddleware(model=Broken(CompressionError("nan")), high_water=LIMIT, keep_last=2)
    with pytest.warns(GistWarning, match="nan"):
        messages = lead(agent_of(model, memory), 20, way)
    check_whole(messages, 20)
    assert model.sizes[-1] > LIMIT


@pytest.mark.parametrize("way", WAYS)
def test_the_agent_recalls_by_its_tool(way):
    memory = GistMiddleware(model=LexicalCompressor(), high_water=LIMIT, keep_last=4)
    asked = "When does my locker code expire, in March 2031?"

    def ask(messages):
        if messages[-1].content != asked:
            return script(messages) if messages[-1].name != "recall_conversation" else AIMessage("On 12 March 2031.")
        return AIMessage("", tool_calls=[{"name": "recall_conversation", "args": {"query": asked}, "id": "recall-1"}])

    model = ScriptedChatModel(script=ask, limit=LIMIT + 300)
    agent = agent_of(model, memory, [*TOOLS, memory.recall_tool(300)])
    lead(agent, 60, way)
    config = {"configurable": {"thread_id": "thread-1"}}
    given = {"messages": [{"role": "user", "content": asked}]}
    state = asyncio.run(agent.ainvoke(given, config)) if way == "async" else agent.invoke(given, config)
    (recalled,) = (m for m in state["messages"] if m.type == "tool" and m.name == "recall_conversation")
    assert "12 March 2031" in recalled.content + text(model.last)
    assert recalled.content.startswith("[Recalled from earlier turns]")


def test_recalling_nothing_says_so():
    found = GistMiddleware(model=LexicalCompressor()).recall_tool()
    assert found.invoke({"query": "  "}) == found.invoke({"query": "Anything?"})


LONG = "\n".join(f"Entry {n}: the archive of matter {n} says little of note." for n in range(80))
PARTS = [{"type": "text", "text": LONG}, {"type": "image", "base64": "AA", "mime_type": "image/png"}]


@tool(response_format="content_and_artifact")
def read(what: str) -> tuple:
    """Reads something long."""
    rows = json.dumps([{"row": n, "value": n * n} for n in range(200)])
    found = {"text": (LONG, {"pages": 3}), "json": (rows, None), "parts": (PARTS, None), "short": ("Yes.", None)}
    return {**found, "blocks": (PARTS[:1], None), "rows": ([{"type": "text", "text": rows}], None)}[what]


@tool
def leave() -> Command:
    """Answers by a command."""
    return Command(update={"messages": [ToolMessage(LONG, tool_call_id="call-leave")]})


def reading(messages):
    """Calls every kind of reading at once, then ends."""
    if messages[-1].type == "tool":
        return AIMessage("Done.")
    calls = [
        {"name": "read", "args": {"what": what}, "id": f"call-{what}"}
        for what in ("text", "json", "blocks", "rows", "parts", "short")
    ]
    return AIMessage("", tool_calls=[*calls, {"name": "leave", "args": {}, "id": "call-leave"}])


def read_all(memory, way="sync"):
    agent = agent_of(ScriptedChatModel(script=reading), memory, [read, leave])
    given, config = {"messages": [("user", "What of matter 41?")]}, {"configurable": {"thread_id": "t"}}
    state = asyncio.run(agent.ainvoke(given, config)) if way == "async" else agent.invoke(given, config)
    return {m.tool_call_id.removeprefix("call-"): m for m in state["messages"] if m.type == "tool"}


@pytest.mark.parametrize("way", WAYS)
def test_long_results_are_shortened_and_their_originals_archived(way):
    memory = GistMiddleware(model=LexicalCompressor(), tool_output_tokens=100)
    results = read_all(memory, way)
    counter = token_counter("o200k_base")
    for name in ("text", "json", "blocks", "rows"):
        assert counter.count(results[name].text) <= 100
        place = results[name].additional_kwargs["gist_original"]
        (turn,) = memory.archive.get(place["conversation"], [place["id"]])
        original = turn_to_message(turn)
        assert (original.tool_call_id, original.name) == (results[name].tool_call_id, "read")
        assert len(original.text) > len(results[name].text)
        assert type(original.content) is type(results[name].content)
    assert "Entry 41" in results["text"].content
    assert results["text"].artifact == {"pages": 3}
    assert json.loads(results["json"].content)[0] == {"row": 0, "value": 0}
    assert results["blocks"].content == [{"type": "text", "text": results["text"].content}]
    assert results["rows"].content == [{"type": "text", "text": results["json"].content}]
    for name, content in (("parts", PARTS), ("short", "Yes."), ("leave", LONG)):
        assert results[name].content == content
        assert results[name].additional_kwargs == {}
    assert memory.archive.conversations() == ["t", "t/tool-results"]


def test_results_stay_whole_unless_asked_for():
    assert read_all(GistMiddleware(model=LexicalCompressor(), high_water=50_000))["text"].content == LONG


def test_a_failure_leaves_the_result_whole():
    with pytest.warns(GistWarning, match="out of memory"):
        results = read_all(GistMiddleware(model=Broken(RuntimeError("out of memory")), tool_output_tokens=100))
    assert results["text"].content == LONG
    with pytest.raises(RuntimeError, match="out of memory"):
        read_all(GistMiddleware(model=Broken(RuntimeError("out of memory")), tool_output_tokens=100, on_error="raise"))


@pytest.mark.parametrize("tokens", [0, -1, True, "9"])
def test_an_impossible_size_is_refused(tokens):
    with pytest.raises(InvalidInputError, match="tool_output_tokens"):
        GistMiddleware(model=LexicalCompressor(), tool_output_tokens=tokens)


@pytest.mark.parametrize("way", WAYS)
def test_a_recall_that_fails_is_told_or_raised(way):
    archive, config = MemoryArchive(), {"configurable": {"thread_id": "thread-1"}}
    options = {"archive": archive, "high_water": LIMIT, "keep_last": 4}
    lead(agent_of(ScriptedChatModel(), GistMiddleware(model=LexicalCompressor(), **options)), 30, "sync")

    def ask(**more):
        found = GistMiddleware(model=Broken(RuntimeError("out of memory")), **options, **more).recall_tool()
        asked = {"query": "Which bridge?"}
        return asyncio.run(found.ainvoke(asked, config)) if way == "async" else found.invoke(asked, config)

    with pytest.warns(GistWarning, match="out of memory"):
        assert "cannot be searched" in ask()
    with pytest.raises(CompressionError, match="out of memory"):
        ask(on_error="raise")
