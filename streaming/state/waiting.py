"""Rows that wait for their time, on Spark's state store: each epoch appends, and takes what is due.

What an epoch brings is one segment in order of time. Nothing is rewritten: up to where all has been
taken stands in the book, and a segment of which nothing is left is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import polars as pl

from streaming.packing import concat, from_blob, to_blob
from streaming.state.segments import Segments, new_number
from streaming.state.store import State

__all__ = ["Queue", "Waiting"]

AT = "event_at"
# So many epochs' rows may lie side by side; then they become one.
MOST_SEGMENTS = 64


class Part(msgspec.Struct, array_like=True):
    """A segment: the times of the first row that is left in it and of the last."""

    number: int
    first: int
    last: int


class Queue(msgspec.Struct):
    """What a bucket knows: its segments, and the time before which all rows have been taken."""

    table: int = msgspec.field(default_factory=new_number)
    parts: list[Part] = []
    taken: int = -(1 << 63)

    @property
    def first(self) -> int | None:
        """The time of the first row that waits."""
        return min((part.first for part in self.parts), default=None)


class _Rows(NamedTuple):
    frame: pl.DataFrame

    def nbytes(self) -> int:
        return int(self.frame.estimated_size())


class Waiting:
    """Queues of rows with `event_at` (microseconds)."""

    def __init__(self, state: State, schema: Mapping[str, Any]) -> None:
        self._schema = dict(schema)
        self._segments: Segments[_Rows] = Segments(state, self._decoded, tuple(schema))

    def take(self, queue: Queue, until: int) -> pl.DataFrame:
        """The rows before `until`, in order of time."""
        if (first := queue.first) is None or first >= until:
            queue.taken = max(queue.taken, until)
            return pl.DataFrame(schema=self._schema)
        taken = []
        for part, rows in zip(list(queue.parts), self._read(queue), strict=True):
            times = rows[AT]
            begin, end = times.search_sorted(queue.taken), times.search_sorted(until)
            taken.append(rows[begin:end])
            if end < rows.height:
                part.first = times[end]
            else:
                queue.parts.remove(part)
                self._segments.drop([part.number])
        queue.taken = until
        return concat(taken).sort(AT)

    def put(self, queue: Queue, rows: pl.DataFrame) -> None:
        """Let rows wait, none of which is before what has been taken."""
        if rows.is_empty():
            return
        rows = rows.select(*self._schema)
        if len(queue.parts) >= MOST_SEGMENTS:
            left = [one.filter(pl.col(AT) >= queue.taken) for one in self._read(queue)]
            rows = concat([*left, rows])
            self._segments.drop([part.number for part in queue.parts])
            queue.parts.clear()
        rows = rows.sort(AT)
        number = self._segments.put(queue.table, _Rows(rows), to_blob(rows))
        queue.parts.append(Part(number, rows[AT][0], rows[AT][-1]))

    def _read(self, queue: Queue) -> list[pl.DataFrame]:
        found = self._segments.read(queue.table, [part.number for part in queue.parts])
        return [one.frame for one in found]

    def _decoded(self, blob: bytes) -> _Rows:
        """Rows that an older version wrote may lack a column: they have nothing in it."""
        rows = pl.concat([pl.DataFrame(schema=self._schema), from_blob(blob)], how="diagonal")
        return _Rows(rows.select(*self._schema))
