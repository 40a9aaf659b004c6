"""What is made when it is first needed, once, whoever asks: models load at the first call, not at construction."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lazy(Generic[T]):
    """``lazy()`` is what ``make`` returns, the same at every call; threads that ask at once wait for one another.

    What ``make`` raises is raised, and made anew at the next call. Pickles as ``make``, without what was made.

    Example:
        >>> numbers = Lazy(lambda: [1, 2])
        >>> numbers() is numbers()
        True
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: tuple[T] | None = None

    def __call__(self) -> T:
        """What was made, after making it if need be."""
        with self._lock:
            if self._made is None:
                self._made = (self._make(),)
            return self._made[0]

    def __reduce__(self) -> tuple[type[Lazy[T]], tuple[Callable[[], T]]]:
        """The class and ``make``."""
        return Lazy, (self._make,)
