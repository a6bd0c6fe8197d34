"""The state of a stage in one bucket, all of it in one variable of Spark's.

Spark announces every state variable of a processor anew in each task of each epoch, which takes it
tens of milliseconds, and each call to the store a good part of one. So there is one map; small
values of many kinds (cells) lie in it as one and are read and written once for an epoch; all else
is blobs by number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from pyspark.sql.streaming.stateful_processor import StatefulProcessorHandle
from pyspark.sql.types import BinaryType, LongType, StructType

from streaming.state.nearby import Nearby

__all__ = ["Cell", "MapState", "State"]

CELLS = 0
# Said as text, each would be parsed by Spark twice in each task.
NUMBER = StructType().add("number", LongType())
BLOB = StructType().add("blob", BinaryType())
T = TypeVar("T")
_decode = msgspec.msgpack.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.msgpack.Encoder().encode


class MapState(Protocol):
    """Spark's."""

    def getValue(self, key: tuple[Any, ...]) -> tuple[Any, ...] | None: ...  # noqa: N802

    def updateValue(self, key: tuple[Any, ...], value: tuple[Any, ...]) -> None: ...  # noqa: N802

    def removeKey(self, key: tuple[Any, ...]) -> None: ...  # noqa: N802


class State:
    """Cells and blobs; cells can be used while it is `opened`."""

    def __init__(self, handle: StatefulProcessorHandle) -> None:
        self._map: MapState = handle.getMapState("state", NUMBER, BLOB)
        is_spark = isinstance(handle, StatefulProcessorHandle)
        self._nearby = Nearby.of_worker() if is_spark else None
        self._cells: dict[str, msgspec.Raw] = {}
        # What has changed since it was opened; None stands for a blob that was removed.
        self._changed: dict[int, bytes | None] = {}

    @contextmanager
    def opened(self) -> Iterator[None]:
        """For one step of one bucket: all that it changes is stored at its end, or, if it raises,
        nothing.
        """
        self._changed.clear()
        stored = self._of_spark(CELLS)
        self._cells = {} if stored is None else _decode(stored)
        yield
        packed = _encode(self._cells)
        if packed != stored:
            self._map.updateValue((CELLS,), (packed,))
        self._store()

    def begin_with(self, blobs: Iterable[tuple[int, bytes]]) -> None:
        """Take over the blobs of another state, cells too, before the first step."""
        for number, blob in blobs:
            self._map.updateValue((number,), (blob,))

    def _store(self) -> None:
        for number, blob in self._changed.items():
            if blob is None:
                self._map.removeKey((number,))
                if self._nearby:
                    self._nearby.drop(number)
            else:
                self._map.updateValue((number,), (blob,))
                if self._nearby:
                    self._nearby.write(number, blob)
        self._changed.clear()

    def cell(self, name: str, type_: type[T]) -> Cell[T]:
        """A value of a type that can be made without arguments: such is the first."""
        return Cell(self, name, type_)

    def get(self, number: int) -> bytes | None:
        """The blob of that number."""
        if number in self._changed:
            return self._changed[number]
        copy = self._nearby.read(number) if self._nearby else None
        return self._of_spark(number) if copy is None else copy

    def _of_spark(self, number: int) -> bytes | None:
        found = self._map.getValue((number,))
        return None if found is None else bytes(found[0])

    def put(self, number: int, blob: bytes) -> None:
        """Store a blob; its number is not 0."""
        self._changed[number] = blob

    def drop(self, number: int) -> None:
        """Remove a blob, which is there; one of this same step was never stored."""
        if self._changed.pop(number, None) is None:
            self._changed[number] = None


class Cell(Generic[T]):
    """One small value."""

    def __init__(self, state: State, name: str, type_: type[T]) -> None:
        self._state = state
        self._name = name
        self._type = type_
        self._decode = msgspec.msgpack.Decoder(type_).decode

    def get(self) -> T:
        """The value."""
        stored = self._state._cells.get(self._name)  # noqa: SLF001 - a part of it
        return self._type() if stored is None else self._decode(stored)

    def put(self, value: T) -> None:
        """Store the value."""
        self._state._cells[self._name] = msgspec.Raw(_encode(value))  # noqa: SLF001
