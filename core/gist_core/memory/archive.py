"""Where the originals are kept: every turn of every conversation, word for word."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from gist_core.errors import ArchiveError, InvalidInputError
from gist_core.memory.turns import Turn, check_turns, turn_from_json, turn_to_json


@runtime_checkable
class Archive(Protocol):
    """A store of turns, keyed by conversation. Safe to share between threads."""

    def add(self, conversation: str, turns: Sequence[Turn], view: str | None = None) -> None:
        """Appends turns in order, all or none of them, and replaces the saved view in the same step.

        A turn that is already there with the same id and digest is not stored twice. One with the same id and
        another digest is stored beside it, and ``get`` gives the later one.

        Args:
            conversation: Any non-empty string.
            turns: Turns with ids; gists are no originals and are refused.
            view: What ``saved_view`` shall give from now on; None leaves it as it is.
        """

    def get(self, conversation: str, ids: Sequence[str]) -> list[Turn]:
        """The turns of these ids, in the order asked for, byte for byte as they came.

        Raises:
            InvalidInputError: One is not there; the message names it.
        """

    def turns(self, conversation: str) -> list[Turn]:
        """All turns in the order of their first arrival; none for a conversation that is not there."""

    def saved_view(self, conversation: str) -> str | None:
        """The view saved last."""

    def conversations(self) -> list[str]:
        """The conversations that hold a turn, sorted."""

    def delete(self, conversation: str) -> None:
        """Forgets a conversation, its turns and its view; nothing happens if it is not there."""


class MemoryArchive:
    """An ``Archive`` in this process's memory, which is gone with it. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}

    def add(self, conversation: str, turns: Sequence[Turn], view: str | None = None) -> None:
        """Appends turns; its work grows with ``turns`` and not with what is there. See ``Archive.add``.

        Raises:
            InvalidInputError: The conversation is no name, a turn has no id, is a gist or cannot be written as JSON.
        """
        check_addition(conversation, turns, view)
        written = [(turn_to_text(turn), turn.id, turn.digest) for turn in turns]
        if not written and view is None:
            return
        with self._lock:
            held = self._held.setdefault(conversation, _Held())
            for text, name, digest in written:
                held.put(text, name, digest)
            held.view = held.view if view is None else view

    def get(self, conversation: str, ids: Sequence[str]) -> list[Turn]:
        """The turns of these ids. See ``Archive.get``.

        Raises:
            InvalidInputError: One is not there; the message names it.
        """
        check_ids(conversation, ids)
        with self._lock:
            held = self._held.get(conversation, _Held())
            found = {name: held.texts[held.latest[name]] for name in ids if name in held.latest}
        return turns_of(conversation, ids, found)

    def turns(self, conversation: str) -> list[Turn]:
        """All turns in the order of their first arrival. See ``Archive.turns``."""
        check_conversation(conversation)
        with self._lock:
            texts = list(self._held.get(conversation, _Held()).texts)
        return [turn_from_text(text) for text in texts]

    def saved_view(self, conversation: str) -> str | None:
        """The view saved last."""
        check_conversation(conversation)
        with self._lock:
            return self._held.get(conversation, _Held()).view

    def conversations(self) -> list[str]:
        """The conversations that hold a turn, sorted."""
        with self._lock:
            return sorted(name for name, held in self._held.items() if held.texts)

    def delete(self, conversation: str) -> None:
        """Forgets a conversation. See ``Archive.delete``."""
        check_conversation(conversation)
        with self._lock:
            self._held.pop(conversation, None)


class _Held:
    """One conversation. Turns are held as text: nobody can alter them through what was given or is given out."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.places: dict[tuple[str, str], int] = {}
        self.latest: dict[str, int] = {}
        self.view: str | None = None

    def put(self, text: str, name: str, digest: str) -> None:
        place = self.places.setdefault((name, digest), len(self.texts))
        if place == len(self.texts):
            self.texts.append(text)
        self.latest[name] = place


def check_conversation(conversation: object) -> None:
    """Checks the name of a conversation.

    Raises:
        InvalidInputError: It is no string, or an empty one.
    """
    if not isinstance(conversation, str) or not conversation:
        raise InvalidInputError(f"The conversation is {conversation!r}.", hint="Pass a non-empty string.")


def check_ids(conversation: object, ids: object) -> None:
    """Checks what ``Archive.get`` is asked for.

    Raises:
        InvalidInputError: The conversation is no name, or the ids are no sequence of strings.
    """
    check_conversation(conversation)
    if isinstance(ids, str | bytes) or not isinstance(ids, Sequence) or not all(isinstance(i, str) for i in ids):
        raise InvalidInputError(f"The ids are {ids!r}.", hint="Pass a list of strings, also for a single turn.")


def check_addition(conversation: object, turns: Sequence[Turn], view: object) -> None:
    """Checks what ``Archive.add`` is given.

    Raises:
        InvalidInputError: The conversation is no name, a turn has no id or is a gist, or the view is no string.
    """
    check_conversation(conversation)
    check_turns(turns)
    for index, turn in enumerate(turns):
        if not isinstance(turn.id, str) or not turn.id:
            raise InvalidInputError(f"turns[{index}] has the id {turn.id!r}.", hint="Name it: Turn(..., id=...).")
        if turn.gist is not None:
            raise InvalidInputError(
                f"turns[{index}] ({turn.id!r}) is a gist.", hint="Archive the turns it stands for, not the gist."
            )
    if view is not None and not isinstance(view, str):
        raise InvalidInputError(f"The view is of type {type(view).__name__}.", hint="Pass a str or None.")


def check_archivable(turns: Sequence[Turn]) -> None:
    """Checks that an archive can take these turns, gists among them, once they have names.

    Raises:
        InvalidInputError: One has an id that is no string, or cannot be written as JSON.
    """
    for index, turn in enumerate(turns):
        if turn.id and not isinstance(turn.id, str):
            raise InvalidInputError(f"turns[{index}] has the id {turn.id!r}.", hint="Pass a str, or none.")
        turn_to_text(turn)


def turns_of(conversation: str, ids: Sequence[str], found: dict[str, str]) -> list[Turn]:
    """The turns asked for, out of the texts found by id.

    Raises:
        InvalidInputError: One was not found; the message names it.
        ArchiveError: A text is damaged.
    """
    for name in ids:
        if name not in found:
            raise InvalidInputError(
                f"No turn {name!r} in the conversation {conversation!r}.", hint="Ask for ids that were archived."
            )
    return [turn_from_text(found[name]) for name in ids]


def turn_to_text(turn: Turn) -> str:
    """A turn as one line of ASCII.

    Raises:
        InvalidInputError: Its ``extra`` is no JSON.
    """
    try:
        return to_ascii(json.dumps(turn_to_json(turn), ensure_ascii=False, separators=(",", ":")))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"Turn {turn.id!r} cannot be written as JSON: {error}.", hint="Use only JSON in extra."
        ) from error


def turn_from_text(text: str) -> Turn:
    """The turn that ``turn_to_text`` wrote.

    Raises:
        ArchiveError: The text is damaged.
    """
    try:
        return turn_from_json(json.loads(from_ascii(text)))
    except ValueError as error:
        raise ArchiveError(f"An archived turn is damaged: {error}", hint="Restore the archive from a copy.") from error


def to_ascii(text: str) -> str:
    """Any text as ASCII without control characters, which every database and JSON column takes as it is.

    JSON's own escapes would not do: two lone surrogates side by side come back from them as one character.
    """
    return text.encode("unicode_escape").decode("ascii")


def from_ascii(text: str) -> str:
    """The text that ``to_ascii`` wrote.

    Raises:
        ValueError: It wrote no such text.
    """
    return text.encode("ascii").decode("unicode_escape")
