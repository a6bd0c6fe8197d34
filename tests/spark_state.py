"""Spark's state, kept in memory: what outlives a keeper."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Map", "Store", "Value"]


class Value:
    """Spark's ValueState."""

    def __init__(self) -> None:
        self.value: tuple[Any, ...] | None = None

    def get(self) -> tuple[Any, ...] | None:
        return self.value

    def update(self, value: tuple[Any, ...]) -> None:
        self.value = value


class Map(dict[tuple[Any, ...], tuple[Any, ...]]):
    """Spark's MapState; `reads` are the keys asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[tuple[Any, ...]] = []

    def getValue(self, key: tuple[Any, ...]) -> tuple[Any, ...] | None:  # noqa: N802
        self.reads.append(key)
        return self.get(key)

    def updateValue(self, key: tuple[Any, ...], value: tuple[Any, ...]) -> None:  # noqa: N802
        self[key] = value

    def removeKey(self, key: tuple[Any, ...]) -> None:  # noqa: N802
        self.pop(key, None)


@dataclass
class Store:
    """The handle that a processor gets."""

    states: dict[str, Any] = field(default_factory=dict)

    def getValueState(self, name: str, *_: str) -> Value:  # noqa: N802
        found: Value = self.states.setdefault(name, Value())
        return found

    def getMapState(self, name: str, *_: str) -> Map:  # noqa: N802
        found: Map = self.states.setdefault(name, Map())
        return found
