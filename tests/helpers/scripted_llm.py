"""An LLM for LlamaIndex that follows a script, and refuses prompts as a provider does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    CompletionResponse,
    LLMMetadata,
    TextBlock,
    ToolCallBlock,
)
from llama_index.core.llms.function_calling import FunctionCallingLLM
from llama_index.core.llms.llm import ToolSelection
from pydantic import PrivateAttr

from gist_core.tokens import token_counter

Script = Callable[[Sequence[ChatMessage]], ChatMessage]


class RefusedPromptError(ValueError):
    """What a provider answers with status 400."""


class ScriptedLLM(FunctionCallingLLM):
    """Answers with what ``script`` makes of the prompt, which must be one that any provider takes."""

    limit: int = 100_000
    _script: Script = PrivateAttr()
    _prompts: list[list[ChatMessage]] = PrivateAttr(default_factory=list)

    def __init__(self, script: Script, **data) -> None:
        super().__init__(**data)
        self._script = script

    @property
    def prompts(self):
        return self._prompts

    @property
    def metadata(self):
        return LLMMetadata(is_chat_model=True, is_function_calling_model=True, context_window=self.limit)

    def chat(self, messages, **_):
        check_prompt(messages, self.limit)
        self._prompts.append([message.model_copy() for message in messages])
        message = self._script(messages)
        return ChatResponse(message=message, delta=message.content)

    async def achat(self, messages, **_):
        return self.chat(messages)

    def stream_chat(self, messages, **_):
        yield self.chat(messages)

    async def astream_chat(self, messages, **_):
        response = self.chat(messages)

        async def stream():
            yield response

        return stream()

    def complete(self, prompt, formatted=False, **_):
        return CompletionResponse(text=self.chat([ChatMessage(content=prompt)]).message.content)

    async def acomplete(self, prompt, formatted=False, **_):
        return self.complete(prompt)

    def stream_complete(self, prompt, formatted=False, **_):
        raise NotImplementedError

    async def astream_complete(self, prompt, formatted=False, **_):
        raise NotImplementedError

    def _prepare_chat_with_tools(self, tools, user_msg=None, chat_history=None, **_):
        return {"messages": [*(chat_history or [])]}

    def get_tool_calls_from_response(self, response, error_on_no_tool_call=True, **_):
        return [ToolSelection(tool_id=i, tool_name=n, tool_kwargs=json.loads(a)) for i, n, a in calls(response.message)]


def calls(message):
    """Id, name and arguments of each call, from a message's blocks or the OpenAI way."""
    blocks = [block for block in message.blocks if isinstance(block, ToolCallBlock)]
    old = message.additional_kwargs.get("tool_calls", [])
    return [(b.tool_call_id, b.tool_name, json.dumps(b.tool_kwargs, ensure_ascii=False)) for b in blocks] + [
        (call["id"], call["function"]["name"], call["function"]["arguments"]) for call in old
    ]


def prompt_tokens(messages):
    """What a prompt costs, with calls of tools and what frames them and messages."""
    count = token_counter("o200k_base").count
    texts = [part for m in messages for call in calls(m) for part in call]
    texts += [m.content or "" for m in messages] + [m.additional_kwargs.get("tool_call_id", "") for m in messages]
    return sum(map(count, texts)) + 4 * len(messages) + 6 * sum(len(calls(m)) for m in messages)


def check_prompt(messages, limit):
    """Raises where a provider would."""
    if prompt_tokens(messages) > limit:
        raise RefusedPromptError(f"{prompt_tokens(messages)} tokens, with a limit of {limit}.")
    roles = [message.role.value for message in messages]
    others = roles[next((at for at, role in enumerate(roles) if role != "system"), len(roles)) :]
    if not others or others[0] != "user" or "system" in others:
        raise RefusedPromptError(f"The roles are {roles}.")
    waiting: set[str] = set()
    for message in messages:
        if message.role == "tool":
            if message.additional_kwargs["tool_call_id"] not in waiting:
                raise RefusedPromptError(f"An orphaned result: {message}")
            waiting.discard(message.additional_kwargs["tool_call_id"])
            continue
        if waiting:
            raise RefusedPromptError(f"Calls without results: {waiting}")
        waiting = {id_ for id_, _, _ in calls(message)}
    if waiting:
        raise RefusedPromptError(f"Calls without results: {waiting}")


def shopkeeper(messages):
    """Calls no tool, one or two at once, by the number in the question; then tells what came of it."""
    last = messages[-1]
    number = int(re.findall(r"\d+", _question(messages))[0])
    if last.role != "user" or number % 3 == 0:
        told = "; ".join(m.content for m in messages[-2:] if m.role == "tool")
        return ChatMessage(role="assistant", content=f"Answer {number}: {told or 'nothing to look up.'}")
    names = ["price_of"] if number % 3 == 1 else ["price_of", "stock_of"]
    made = [(f"call-{number}-{name}", name, {"item": f"item {number}"}) for name in names]
    if number % 2:
        blocks = [ToolCallBlock(tool_call_id=i, tool_name=n, tool_kwargs=a) for i, n, a in made]
        return ChatMessage(role="assistant", blocks=[TextBlock(text="Let me see."), *blocks])
    old = [{"id": i, "type": "function", "function": {"name": n, "arguments": json.dumps(a)}} for i, n, a in made]
    return ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": old})


def _question(messages):
    return next(m.content for m in reversed(messages) if m.role == "user")


def price_of(item: str) -> str:
    """The price of an item."""
    return json.dumps({"item": item, "price": f"{len(item)}.95 EUR", "offers": [f"shop {n}" for n in range(30)]})


def stock_of(item: str) -> str:
    """How many of an item are in stock."""
    count = int(item.removeprefix("item ")) * 7
    return f"There are {count} of {item} in the warehouse of Graz. The next delivery is on Friday."


def question(number):
    fact = " By the way, the code of my locker is K-7319." if number == 3 else ""
    return f"Question {number}: what do you have on item {number}?{fact} I walked along the river this morning."
