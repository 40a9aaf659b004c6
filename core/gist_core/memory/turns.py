"""What a conversation is made of: turns, with the calls of tools they make. Standard library only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from gist_core.errors import InvalidInputError

if TYPE_CHECKING:
    from gist_core.memory.gist import Gist

Role = Literal["system", "user", "assistant", "tool"]
ROLES: tuple[str, ...] = get_args(Role)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool: its id, the tool's name, its arguments as the provider wrote them. Never altered."""

    id: str
    name: str
    arguments: str = "{}"


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation.

    Args:
        role: ``"system"``, ``"user"``, ``"assistant"`` or ``"tool"`` (the result of a call).
        content: Its text.
        id: Names it in its conversation; a turn without an id is given one, and so is one whose id an earlier turn has.
        name: Who speaks, or the tool that answers.
        tool_calls: Calls an assistant makes with this turn.
        tool_call_id: The call that a tool's turn answers.
        pinned: Stays word for word, with all turns of its tool unit.
        opaque: Names of its parts that are no text ("image", "reasoning"); they are kept whole or not at all.
        opaque_tokens: What those parts cost.
        extra: JSON of the caller's own; archived and given back, not looked at.
        gist: Set where this turn stands for earlier ones.

    Raises:
        InvalidInputError: The role is unknown, the content is no text, or calls stand where none can.
    """

    role: Role
    content: str = ""
    id: str = ""
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    pinned: bool = False
    opaque: tuple[str, ...] = ()
    opaque_tokens: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict)
    gist: Gist | None = None

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise InvalidInputError(f"role is {self.role!r}.", hint=f"Use one of {', '.join(map(repr, ROLES))}.")
        if not isinstance(self.content, str):
            raise InvalidInputError(
                f"Turn {self.id!r} has content of type {type(self.content).__name__}.",
                hint="Pass a str; name other parts in opaque=.",
            )
        if self.tool_calls and self.role != "assistant":
            raise InvalidInputError(f"A turn of role {self.role!r} has tool calls.", hint="Only assistants call tools.")
        object.__setattr__(self, "tool_calls", tuple(self.tool_calls))
        object.__setattr__(self, "opaque", tuple(self.opaque))

    @property
    def digest(self) -> str:
        """SHA-256 over all that a reader of this turn sees; ids of messages are left out."""
        seen = [
            self.role,
            self.content,
            self.name,
            [[c.id, c.name, c.arguments] for c in self.tool_calls],
            self.tool_call_id,
            list(self.opaque),
            _plain(self.extra) if self.opaque else None,
        ]
        return hashlib.sha256(repr(seen).encode("ascii", "backslashreplace")).hexdigest()


def with_id(turn: Turn, position: int) -> Turn:
    """The turn itself if it has an id, else a copy named by its position, as files that are read whole name theirs."""
    return turn if turn.id else replace(turn, id=f"turn-{position}")


def check_turns(turns: object) -> None:
    """Checks what a caller gave as a conversation.

    Raises:
        InvalidInputError: It is no sequence of turns.
    """
    if isinstance(turns, str | bytes) or not isinstance(turns, Sequence):
        raise InvalidInputError(f"The turns are of type {type(turns).__name__}.", hint="Pass a list of Turn(...).")
    for index, turn in enumerate(turns):
        if not isinstance(turn, Turn):
            raise InvalidInputError(
                f"turns[{index}] is of type {type(turn).__name__}.", hint="Pass Turn(role=..., content=...)."
            )


def turn_to_json(turn: Turn) -> dict[str, Any]:
    """A turn as JSON data; fields that are empty are left out. Lone surrogates survive ``json.dumps``."""
    data: dict[str, Any] = {"role": turn.role, "content": turn.content, "id": turn.id}
    if turn.name is not None:
        data["name"] = turn.name
    if turn.tool_calls:
        data["tool_calls"] = [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in turn.tool_calls]
    if turn.tool_call_id is not None:
        data["tool_call_id"] = turn.tool_call_id
    if turn.pinned:
        data["pinned"] = True
    if turn.opaque:
        data["opaque"] = list(turn.opaque)
    if turn.opaque_tokens:
        data["opaque_tokens"] = turn.opaque_tokens
    if turn.extra:
        data["extra"] = _plain(turn.extra)
    if turn.gist is not None:
        from gist_core.memory.gist import gist_to_json

        data["gist"] = gist_to_json(turn.gist)
    return data


def turn_from_json(data: Mapping[str, Any]) -> Turn:
    """The turn that ``turn_to_json`` wrote.

    Raises:
        InvalidInputError: A field is missing or unusable.
    """
    from gist_core.memory.gist import gist_from_json

    try:
        return Turn(
            role=data["role"],
            content=data["content"],
            id=data.get("id", ""),
            name=data.get("name"),
            tool_calls=tuple(ToolCall(c["id"], c["name"], c["arguments"]) for c in data.get("tool_calls", ())),
            tool_call_id=data.get("tool_call_id"),
            pinned=data.get("pinned", False),
            opaque=tuple(data.get("opaque", ())),
            opaque_tokens=data.get("opaque_tokens", 0),
            extra=data.get("extra", {}),
            gist=gist_from_json(data["gist"]) if data.get("gist") else None,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(f"This is no turn: {error!r}.", hint="Write turns with turn_to_json.") from error


def _plain(value: Any) -> Any:
    """Mappings as dicts and sequences as lists, so that json can write them."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
