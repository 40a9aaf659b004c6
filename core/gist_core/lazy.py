"""What is made when it is first needed, once, whoever asks: models load at the first call, not at construction."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar
from weakref import WeakSet, WeakValueDictionary

T = TypeVar("T")
IDLE_SECONDS = 30.0


class Lazy(Generic[T]):
    """``lazy()`` is what ``make`` returns, the same at every call; threads that ask at once wait for one another.

    What ``make`` raises is raised, and made anew at the next call. Pickles as ``make``, without what was made. A child
    that is forked while another thread makes it does not wait for that thread.

    Example:
        >>> numbers = Lazy(lambda: [1, 2])
        >>> numbers() is numbers()
        True
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: tuple[T] | None = None
        self.reset()
        _with_locks.add(self)

    def __call__(self) -> T:
        """What was made, after making it if need be."""
        with self._lock:
            if self._made is None:
                self._made = (self._make(),)
            return self._made[0]

    def reset(self) -> None:
        """Makes the lock anew, for a forked child."""
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Lazy[T]], tuple[Callable[[], T]]]:
        """The class and ``make``."""
        return Lazy, (self._make,)


class Shared(Generic[T]):
    """What is made once for each key and is the same for all who ask, for as long as anybody holds it.

    ``linger`` holds a value for ``idle_seconds`` after it was asked for last, so that callers that make one adapter
    after the other, each for a single call, meet the same one. Safe to share between threads. A forked child begins
    with nothing: what its parent made stays with those who hold it.

    Args:
        idle_seconds: How long ``linger`` holds a value that nobody asks for.

    Example:
        >>> shared = Shared()
        >>> one = shared.get("a", threading.Event)
        >>> shared.get("a", threading.Event) is one
        True
    """

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self.reset()
        _with_locks.add(self)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value of a key, made if there is none."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                found = self._values[key] = make()
            self._asked.add(key)
            return found

    def linger(self, key: Hashable) -> None:
        """Holds the value of a key, if there is one, until nobody has asked for it for a while."""
        with self._lock:
            found = self._values.get(key)
            if found is None:
                return
            waits = key in self._held
            self._held[key] = found
            self._asked.discard(key)
        if not waits:
            self._wait(key)

    def reset(self) -> None:
        """Forgets everything, for a forked child."""
        self._lock = threading.Lock()
        self._values: WeakValueDictionary[Hashable, T] = WeakValueDictionary()
        self._held: dict[Hashable, T] = {}
        self._asked: set[Hashable] = set()

    def _wait(self, key: Hashable) -> None:
        timer = threading.Timer(self._idle_seconds, self._let_go, [key])
        timer.daemon = True
        timer.start()

    def _let_go(self, key: Hashable) -> None:
        with self._lock:
            asked = key in self._asked
            self._asked.discard(key)
            gone = None if asked else self._held.pop(key, None)
        del gone  # outside the lock: much may go with it
        if asked:
            self._wait(key)


_with_locks: WeakSet[Any] = WeakSet()


def _reset_after_fork() -> None:
    """A child has no promise that its parent's locks are free."""
    for one in list(_with_locks):
        one.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
