"""A view made smaller, for a memory that has less room than its block was promised."""

from __future__ import annotations

from collections.abc import Sequence

from llama_index.core.base.llms.types import ChatMessage

from gist_core.compressor import TextCompressor
from gist_core.errors import BudgetTooSmallError
from gist_core.memory.compactor import ConversationCompactor
from gist_core.memory.counting import TurnCounter
from gist_core.memory.policy import MemoryPolicy
from gist_core.memory.turns import Turn
from gist_core.tokens import TokenCounter, token_counter
from llamaindex_gist.memory._messages import media_tokens, to_messages, to_turns
from llamaindex_gist.memory.quotations import RecallMessage

_ROUNDS = 4  # the caller counts otherwise than we do, so the size is guessed and the outcome measured


def squeeze(
    content: Sequence[ChatMessage], tokens: int, compressor: TextCompressor, policy: MemoryPolicy
) -> list[ChatMessage] | None:
    """The messages in so many tokens less, as LlamaIndex's Memory counts them; what was recalled goes first.

    A tenth more is saved, because Memory may count with another tokenizer, and drops what is a token too large.

    Args:
        content: A view: gists and other messages.
        tokens: Tokens to save.
        compressor: Rates what is no gist yet.
        policy: Its tokenizer counts.

    Returns:
        The messages, or None if they cannot be made so small.

    Raises:
        GistError: The compressor failed.
    """
    text = token_counter(policy.tokenizer)
    target = _estimate(content, text) - tokens - tokens // 10 - 1
    kept = [message for message in content if not isinstance(message, RecallMessage)]
    turns = to_turns(kept)
    size = TurnCounter(policy).turns(turns)
    for _ in range(_ROUNDS):
        above = _estimate(kept, text) - target
        if above <= 0:
            return kept
        size -= above
        if size <= 0:
            return None
        try:
            kept = to_messages(_compacted(turns, size, compressor, policy))
        except BudgetTooSmallError:
            return None
    return None


def _compacted(turns: list[Turn], size: int, compressor: TextCompressor, policy: MemoryPolicy) -> Sequence[Turn]:
    smaller = MemoryPolicy(high_water=size, low_water=size, keep_last=0, tokenizer=policy.tokenizer, keep=policy.keep)
    return ConversationCompactor(smaller, compressor=compressor).compact(turns).turns


def _estimate(messages: Sequence[ChatMessage], counter: TokenCounter) -> int:
    """Tokens as Memory estimates them, by our tokenizer: a message's text, and ``additional_kwargs`` written out."""
    texts = [message.content or "" for message in messages]
    texts += [str(message.additional_kwargs) for message in messages if message.additional_kwargs]
    media = sum(media_tokens(block) for message in messages for block in message.blocks)
    return sum(counter.count_many([text for text in texts if text])) + media
