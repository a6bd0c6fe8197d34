"""A thread that reads something again and again, so that no page ever waits for it.

What was read last stays until there is something newer: while a store is away the page shows what
it knew, and says since when. Nobody looks: nothing is asked.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

__all__ = ["Poller", "Reading"]

T = TypeVar("T")
IDLE_AFTER_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading(Generic[T]):
    """`value`: None before the first success; `at`: when that was, in epoch seconds. `problem`: why
    the last try failed, None when it did not.
    """

    value: T | None = None
    at: float | None = None
    problem: str | None = None


class Poller(Generic[T]):
    """`explain` turns an exception into a sentence; what it returns None for is a mistake of ours,
    which is raised and ends the thread.
    """

    def __init__(
        self,
        name: str,
        read: Callable[[], T],
        explain: Callable[[Exception], str | None],
        *,
        every_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._name = name
        self._read = read
        self._explain = explain
        self._every_s = every_s
        self._clock = clock
        self._asked_at = clock()
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._reading: Reading[T] = Reading()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self, timeout: float = 5) -> None:
        """End the thread; what it reads now is waited for."""
        self._ending.set()
        self._wake.set()
        self._thread.join(timeout)

    def last(self) -> Reading[T]:
        """What was read last; this also says that somebody looks."""
        is_waking = self._is_idle()
        self._asked_at = self._clock()
        if is_waking:
            self._wake.set()
        return self._reading

    def look(self) -> None:
        """Read once, now."""
        try:
            value = self._read()
        except Exception as error:
            problem = self._explain(error)
            told = problem or f"Reading the {self._name} has failed; the log says why."
            self._reading = replace(self._reading, problem=told)
            if problem is None:
                raise
        else:
            self._reading = Reading(value=value, at=self._clock())

    def _is_idle(self) -> bool:
        return self._clock() - self._asked_at > IDLE_AFTER_S

    def _run(self) -> None:
        while not self._ending.is_set():
            if not self._is_idle():
                self.look()
            self._wake.wait(self._every_s)
            self._wake.clear()
