"""All state of a stage in one variable of Spark's.

Spark announces every state variable of a processor anew in each task of each epoch, and that takes
it tens of milliseconds. So there is one map, and what looks like a variable is a part of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
from pyspark.sql.streaming.stateful_processor import StatefulProcessorHandle

__all__ = ["Cell", "MapState", "OneMap", "Part", "names_of", "to_names"]


class MapState(Protocol):
    """Spark's."""

    def getValue(self, key: tuple[Any, ...]) -> tuple[Any, ...] | None: ...  # noqa: N802

    def updateValue(self, key: tuple[Any, ...], value: tuple[Any, ...]) -> None: ...  # noqa: N802

    def removeKey(self, key: tuple[Any, ...]) -> None: ...  # noqa: N802


class OneMap:
    """Parts by name; their keys are up to two whole numbers, their values bytes."""

    def __init__(self, handle: StatefulProcessorHandle) -> None:
        self._map: MapState = handle.getMapState(
            "state", "part string, first long, second long", "blob binary"
        )

    def cell(self, name: str) -> Cell:
        """A part that is one value."""
        return Cell(self._map, name)

    def part(self, name: str) -> Part:
        """A part that is a map."""
        return Part(self._map, name)


class Cell:
    """One value, None before the first."""

    def __init__(self, whole: MapState, name: str) -> None:
        self._whole = whole
        self._at = (name, 0, 0)

    def get(self) -> bytes | None:
        """The value."""
        found = self._whole.getValue(self._at)
        return None if found is None else bytes(found[0])

    def put(self, value: bytes) -> None:
        """Store the value."""
        self._whole.updateValue(self._at, (value,))


class Part:
    """A map of its own."""

    def __init__(self, whole: MapState, name: str) -> None:
        self._whole = whole
        self._name = name

    def get(self, *key: int) -> bytes | None:
        """The value of a key; None where there is none."""
        found = self._whole.getValue(self._at(key))
        return None if found is None else bytes(found[0])

    def put(self, value: bytes, *key: int) -> None:
        """Store the value of a key."""
        self._whole.updateValue(self._at(key), (value,))

    def drop(self, *key: int) -> None:
        """Remove a key, which is there."""
        self._whole.removeKey(self._at(key))

    def _at(self, key: tuple[int, ...]) -> tuple[Any, ...]:
        return (self._name, *key, 0)[:3]


def to_names(names: Iterable[str]) -> bytes:
    """Names as a value."""
    return msgspec.msgpack.encode(list(names))


def names_of(value: bytes) -> list[str]:
    """The names of `to_names`."""
    return msgspec.msgpack.decode(value, type=list[str])
