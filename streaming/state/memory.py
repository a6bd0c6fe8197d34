"""Spark's keyed state in memory: for a backfill, which remembers nothing, and for tests."""

from __future__ import annotations

from typing import Any

__all__ = ["MemoryMap", "MemoryState"]

Row = tuple[Any, ...]


class MemoryMap(dict[Row, Row]):
    """A `MapState`."""

    def getValue(self, key: Row) -> Row | None:  # noqa: N802 - Spark's names
        return self.get(key)

    def updateValue(self, key: Row, value: Row) -> None:  # noqa: N802
        self[key] = value

    def removeKey(self, key: Row) -> None:  # noqa: N802
        self.pop(key, None)


class MemoryState:
    """A `StatefulProcessorHandle`; asked again for a name, it gives the same state."""

    def __init__(self) -> None:
        self.states: dict[str, MemoryMap] = {}

    def getMapState(self, name: str, _key: str, _value: str) -> MemoryMap:  # noqa: N802
        return self.states.setdefault(name, MemoryMap())
