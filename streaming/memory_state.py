"""Spark's keyed state in memory: for a backfill, which remembers nothing, and for tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["MemoryMap", "MemoryState", "MemoryValue"]

Row = tuple[Any, ...]


class MemoryValue:
    """A `ValueState`."""

    def __init__(self) -> None:
        self._value: Row | None = None

    def exists(self) -> bool:
        return self._value is not None

    def get(self) -> Row | None:
        return self._value

    def update(self, value: Row) -> None:
        self._value = value

    def clear(self) -> None:
        self._value = None


class MemoryMap(dict[Row, Row]):
    """A `MapState`; `keys`, `values` and `clear` are those of the dictionary."""

    def exists(self) -> bool:
        return bool(self)

    def containsKey(self, key: Row) -> bool:  # noqa: N802 - Spark's names
        return key in self

    def getValue(self, key: Row) -> Row | None:  # noqa: N802
        return self.get(key)

    def updateValue(self, key: Row, value: Row) -> None:  # noqa: N802
        self[key] = value

    def removeKey(self, key: Row) -> None:  # noqa: N802
        self.pop(key, None)

    def iterator(self) -> Iterator[tuple[Row, Row]]:
        return iter(self.items())


class MemoryState:
    """A `StatefulProcessorHandle`; asked again for a name, it gives the same state."""

    def __init__(self) -> None:
        self.states: dict[str, Any] = {}

    def getValueState(self, name: str, _schema: str) -> MemoryValue:  # noqa: N802
        found: MemoryValue = self.states.setdefault(name, MemoryValue())
        return found

    def getMapState(self, name: str, _key: str, _value: str) -> MemoryMap:  # noqa: N802
        found: MemoryMap = self.states.setdefault(name, MemoryMap())
        return found
