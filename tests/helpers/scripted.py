"""A chat model that follows a script and refuses what a provider refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from pydantic import Field, PrivateAttr

from gist_core.memory import MemoryPolicy
from gist_core.memory.counting import TurnCounter
from langchain_gist.memory._messages import to_turns
from tests.helpers.stories import STORIES

SYSTEM = "You are a careful assistant. Answer briefly."
FACT = "My locker code is 7314-KX and it expires on 12 March 2031."


class ProviderError(Exception):
    """What an API would answer with status 400."""


def check_prompt(messages: Sequence[BaseMessage]) -> None:
    """Raises where a provider would: systems first, then a user; every call answered, every result called for."""
    others = [m for m in messages if not isinstance(m, SystemMessage)]
    if any(isinstance(m, SystemMessage) for m in messages[len(messages) - len(others) :]):
        raise ProviderError("a system message is not first")
    if not others or not isinstance(others[0], HumanMessage):
        raise ProviderError("the first message is not a user's")
    if not isinstance(others[-1], HumanMessage | ToolMessage):
        raise ProviderError("there is nothing to answer")
    waiting: set[str] = set()
    for message in others:
        if isinstance(message, ToolMessage):
            if message.tool_call_id not in waiting:
                raise ProviderError(f"the result {message.tool_call_id!r} has no call")
            waiting.remove(message.tool_call_id)
            continue
        if waiting:
            raise ProviderError(f"the calls {sorted(waiting)} have no result")
        waiting = {call["id"] for call in message.tool_calls} if isinstance(message, AIMessage) else set()
    if waiting:
        raise ProviderError(f"the calls {sorted(waiting)} have no result")


def prompt_tokens(messages: Sequence[BaseMessage]) -> int:
    return TurnCounter(MemoryPolicy()).turns(to_turns(messages))


@tool
def look_up(place: str) -> str:
    """Says what is known of a place."""
    rows = [{"place": place, "row": row, "visitors": 17 * row + len(place)} for row in range(12)]
    return json.dumps({"place": place, "story": STORIES.get(place, "nothing"), "rows": rows})


@tool
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


def question(turn: int) -> HumanMessage:
    """What the user says in a turn, from 1; turn 3 states the fact."""
    place = list(STORIES)[turn % len(STORIES)]
    said = FACT if turn == 3 else f"In matter {turn}, what of the {place}? I have {turn} notes on it and will add one."
    return HumanMessage(f"Turn {turn}: {said}")


def script(messages: Sequence[BaseMessage]) -> AIMessage:
    """Every other turn calls a tool, every fifth two at once; the results are then told."""
    last = messages[-1]
    if isinstance(last, ToolMessage):
        return AIMessage(
            f"I looked that up ({last.name}): {last.content[:60]}", response_metadata={"model": "scripted"}
        )
    turn = int(str(last.content).removeprefix("Turn ").split(":")[0])
    place = list(STORIES)[turn % len(STORIES)]
    calls = [{"name": "look_up", "args": {"place": place}, "id": f"call-{turn}-0"}]
    if turn % 5 == 0:
        calls.append({"name": "add", "args": {"a": turn, "b": 1}, "id": f"call-{turn}-1"})
    elif turn % 2:
        return AIMessage(f"Noted: matter {turn}. Nothing needs looking up, and I promise to remember it.")
    return AIMessage("", tool_calls=calls)


class ScriptedChatModel(BaseChatModel):
    """Checks each prompt, notes its size, answers by the script."""

    script: Callable[[Sequence[BaseMessage]], AIMessage] = Field(default=script)
    limit: int | None = None
    _sizes: list[int] = PrivateAttr(default_factory=list)
    _last: list[BaseMessage] = PrivateAttr(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    @property
    def sizes(self) -> list[int]:
        """Tokens of every prompt so far."""
        return self._sizes

    @property
    def last(self) -> list[BaseMessage]:
        """The last prompt."""
        return self._last

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> ScriptedChatModel:
        return self

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        check_prompt(messages)
        self._sizes.append(prompt_tokens(messages))
        self._last = list(messages)
        if self.limit is not None and self._sizes[-1] > self.limit:
            raise ProviderError(f"{self._sizes[-1]} tokens are above the limit of {self.limit}")
        return ChatResult(generations=[ChatGeneration(message=self.script(messages))])


def conversation(turns: int) -> list[BaseMessage]:
    """What an agent's state holds after so many turns; ends with an answer."""
    tools = {"look_up": look_up, "add": add}
    messages: list[BaseMessage] = [SystemMessage(SYSTEM)]
    for turn in range(1, turns + 1):
        messages += [question(turn)]
        while not isinstance(messages[-1], AIMessage) or messages[-1].tool_calls:
            calls = messages[-1].tool_calls if isinstance(messages[-1], AIMessage) else []
            messages += [tools[call["name"]].invoke(call) for call in calls] or [script(messages)]
    return [message.model_copy(update={"id": f"m-{at}"}) for at, message in enumerate(messages)]
