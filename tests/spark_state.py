"""The state of a stage in memory, part by part, which tells what a keeper asks for."""

from __future__ import annotations

from typing import Any

__all__ = ["Map", "Store", "Value"]


class Map(dict[tuple[int, ...], bytes]):
    """A part that is a map; `reads` are the keys asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[tuple[int, ...]] = []

    def get(self, *key: Any) -> Any:
        self.reads.append(key)
        return super().get(key)

    def put(self, value: bytes, *key: int) -> None:
        self[key] = value

    def drop(self, *key: int) -> None:
        self.pop(key, None)


class Value:
    """A part that is one value."""

    def __init__(self) -> None:
        self.value: bytes | None = None

    def get(self) -> bytes | None:
        return self.value

    def put(self, value: bytes) -> None:
        self.value = value


class Store:
    """What outlives a keeper; `states` are its parts."""

    def __init__(self) -> None:
        self.states: dict[str, Any] = {}

    def cell(self, name: str) -> Value:
        found: Value = self.states.setdefault(name, Value())
        return found

    def part(self, name: str) -> Map:
        found: Map = self.states.setdefault(name, Map())
        return found
