"""The scripted model of the agents' tests refuses what it should: without it they would prove nothing."""

from __future__ import annotations

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver

from tests.helpers.scripted import ProviderError, ScriptedChatModel, add, check_prompt, conversation, look_up, question

CALL = AIMessage("", tool_calls=[{"name": "add", "args": {}, "id": name} for name in ("a", "b")])
A, B = ToolMessage("1", tool_call_id="a"), ToolMessage("2", tool_call_id="b")
USER = HumanMessage("Hello?")


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([USER, A], "has no call"),
        ([USER, CALL, A, B, A], "has no call"),
        ([USER, CALL, A], "have no result"),
        ([USER, CALL, A, USER], "have no result"),
        ([USER, SystemMessage("Be brief."), USER], "not first"),
        ([SystemMessage("Be brief."), AIMessage("Hello."), USER], "not a user's"),
        ([SystemMessage("Be brief.")], "not a user's"),
        ([USER, AIMessage("Hello.")], "nothing to answer"),
    ],
)
def test_it_refuses_what_a_provider_refuses(messages, why):
    with pytest.raises(ProviderError, match=why):
        check_prompt(messages)


def test_it_takes_what_a_provider_takes():
    assert check_prompt([SystemMessage("Be brief."), USER, CALL, B, A]) is None
    assert check_prompt([*conversation(20), USER]) is None


def test_an_agent_without_a_memory_runs_into_the_limit():
    agent = create_agent(ScriptedChatModel(limit=1_500), [look_up, add], checkpointer=InMemorySaver())
    with pytest.raises(ProviderError, match="above the limit"):
        for turn in range(1, 40):
            agent.invoke({"messages": [question(turn)]}, {"configurable": {"thread_id": "t"}})
