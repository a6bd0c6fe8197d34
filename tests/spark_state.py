"""The state of a stage in memory, and keepers that find nothing but what is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streaming.state import segments
from streaming.state.memory import MemoryState
from streaming.state.store import CELLS, State

__all__ = ["Restarted", "Store", "each_call"]


class Store(MemoryState):
    """What outlives a worker."""

    @property
    def blobs(self) -> dict[int, bytes]:
        """The segments by number."""
        stored = self.states.get("state", {})
        return {number: blob for (number,), (blob,) in stored.items() if number != CELLS}


class Restarted:
    """A keeper that is a new worker's in each epoch: nothing is in memory."""

    def __init__(self, store: Store, make: Callable[[State], Any], *, warm: bool = False) -> None:
        self._store = store
        self._make = make
        self._warm = warm

    def step(self, *args: Any, **named: Any) -> Any:
        if not self._warm:
            segments.forget()
        state = State(self._store)  # type: ignore[arg-type]
        keeper = self._make(state)
        with state.opened():
            return keeper.step(*args, **named)


def each_call(store: Store, make: Callable[[State], Any]) -> Any:
    """What is made of the state, each call of a method being a step of its own."""

    class Calls:
        def __getattr__(self, name: str) -> Any:
            def call(*args: Any, **named: Any) -> Any:
                state = State(store)  # type: ignore[arg-type]
                with state.opened():
                    return getattr(make(state), name)(*args, **named)

            return call

    return Calls()
