"""gist_summarizer by itself and inside SummarizationMiddleware, GistEdit inside ContextEditingMiddleware."""

from __future__ import annotations

import asyncio
import copy

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ContextEditingMiddleware, SummarizationMiddleware
from langchain_core.messages import HumanMessage

from gist_core.errors import CompressionError, InvalidBudgetError
from gist_core.fallback import GistWarning
from gist_core.tokens import token_counter
from langchain_gist import GistEdit, gist_summarizer
from tests.helpers.lexical import Broken, LexicalCompressor
from tests.helpers.scripted import FACT, SYSTEM, ScriptedChatModel, add, conversation, look_up, question

COUNTER = token_counter("o200k_base")


def run_agent(agent, turns, way, config=None):
    """The conversation with an agent that has no checkpointer, as its callers lead it: state in, state out."""

    async def lead():
        state = {"messages": []}
        for turn in range(1, turns + 1):
            given = {"messages": [*state["messages"], question(turn)]}
            state = agent.invoke(given, config) if way == "sync" else await agent.ainvoke(given, config)
        return state["messages"]

    return asyncio.run(lead())


def test_quotes_within_the_tokens_and_changes_nothing():
    messages = conversation(30)
    before = copy.deepcopy(messages)
    summarizer = gist_summarizer(300, model=LexicalCompressor(), keep=["locker code"])
    text = summarizer.invoke(messages)
    assert FACT in text
    assert 200 < COUNTER.count(text) <= 300
    assert messages == before
    assert asyncio.run(summarizer.ainvoke(messages)) == text


def test_few_messages_are_quoted_whole():
    text = gist_summarizer(300, model=LexicalCompressor()).invoke([HumanMessage("One fact. Another fact.")])
    assert "user: One fact. Another fact." in text


def test_its_own_summary_is_chosen_from_and_not_quoted_again():
    summarizer = gist_summarizer(200, model=LexicalCompressor(), keep=["5 May"])
    text = summarizer.invoke(conversation(10))
    message = HumanMessage(
        f"Here is a summary of the conversation to date:\n\n{text}", additional_kwargs={"lc_source": "summarization"}
    )
    again = summarizer.invoke([message, HumanMessage("It is 5 May.")])
    assert "user: It is 5 May." in again
    assert again.count("Quotes from") == 1
    assert COUNTER.count(again) <= 200
    assert len(set(text.splitlines()[1:]) & set(again.splitlines())) >= 3


def test_failure_is_answered_without_the_model_or_raised():
    messages = conversation(10)
    with pytest.warns(GistWarning, match="nan"):
        text = gist_summarizer(200, model=Broken(CompressionError("nan"))).invoke(messages)
    assert 0 < COUNTER.count(text) <= 200
    with pytest.raises(CompressionError):
        gist_summarizer(200, model=Broken(CompressionError("nan")), on_error="raise").invoke(messages)


@pytest.mark.parametrize("tokens", [5, 0, 300.0, True])
def test_impossible_sizes_are_refused(tokens):
    with pytest.raises(InvalidBudgetError, match="tokens is"):
        gist_summarizer(tokens, model=LexicalCompressor())


@pytest.mark.parametrize("way", ["sync", "async"])
def test_in_summarization_middleware(way):
    model = ScriptedChatModel(limit=2_000)
    middleware = SummarizationMiddleware(
        model=model,
        summarizer=gist_summarizer(500, model=LexicalCompressor(), keep=["locker code"]),
        trim_tokens_to_summarize=None,
        trigger=("tokens", 1_500),
        keep=("messages", 4),
    )
    agent = create_agent(model, [look_up, add], system_prompt=SYSTEM, middleware=[middleware])
    messages = run_agent(agent, 60, way)
    assert messages[0].additional_kwargs == {"lc_source": "summarization"}
    assert FACT in messages[0].content
    assert messages[0].content.count("Quotes from") == 1


@pytest.mark.parametrize("way", ["sync", "async"])
def test_edit_in_context_editing_middleware(way):
    model = ScriptedChatModel(limit=1_500)
    edit = GistEdit(model=LexicalCompressor(), high_water=1_400, keep_last=4, keep=["locker code"])
    editing = ContextEditingMiddleware(edits=[edit])
    agent = create_agent(model, [look_up, add], system_prompt=SYSTEM, middleware=[editing])
    messages = run_agent(agent, 60, way)
    assert [m.content for m in messages if m.type == "human"] == [question(turn).content for turn in range(1, 61)]
    assert FACT in "\n".join(str(message.content) for message in model.last)


def test_edit_works_in_place():
    messages = conversation(30)
    given = list(messages)
    edit = GistEdit(model=LexicalCompressor(), high_water=1_000)
    assert edit.apply(given, count_tokens=len) is None
    assert len(given) < len(messages)
    assert all(a is b for a, b in zip(given[-6:], messages[-6:], strict=True))
