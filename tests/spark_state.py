"""Spark's state in memory, which tells what a keeper asks for."""

from __future__ import annotations

from typing import Any

from streaming.memory_state import MemoryMap, MemoryState

__all__ = ["Map", "Store"]


class Map(MemoryMap):
    """`reads` are the keys asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[tuple[Any, ...]] = []

    def getValue(self, key: tuple[Any, ...]) -> tuple[Any, ...] | None:  # noqa: N802
        self.reads.append(key)
        return super().getValue(key)


class Store(MemoryState):
    """What outlives a keeper."""

    def getMapState(self, name: str, _key: str, _value: str) -> Map:  # noqa: N802
        found: Map = self.states.setdefault(name, Map())
        return found
