"""What is done with a row is the same for every row of a request, so it is decided once: a plan.

A value is kept as the piece of JSON that it is in an answer. What stands in Redis is such a piece
already, except that texts and times want quotes; so an answer is put together without looking into
a number. Who wants Python's values decodes all pieces of a row at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from features.columns import Column, ColumnType
from serving.online.redis_link import command
from serving.online.rows import Row, Source, age_ms_at
from serving.online.served import ServedView, served_view

__all__ = ["Found", "Plan", "plan_for"]

NULL = b"null"
TIME_BYTES = len("2026-01-01T00:00:00.000000Z")
QUOTED = (ColumnType.TIMESTAMP, ColumnType.DATE)
STAMPS = ("event_at", "updated_at")
encode, decode = msgspec.json.encode, msgspec.json.decode


class Found(NamedTuple):
    """A row of a store: `pieces` are its features as JSON, in the order of the plan. The times are
    bare text.
    """

    event_at: bytes | None
    updated_at: bytes
    pieces: Sequence[bytes]
    source: Source


class Plan:
    """How these columns of a view are asked for and answered."""

    def __init__(self, view: ServedView, columns: tuple[Column, ...]) -> None:
        self.view = view
        self.columns = columns
        self.names = tuple(column.name for column in columns)
        types = [column.type for column in columns]
        self._texts = [i for i, of in enumerate(types) if of is ColumnType.STRING]
        self._quoted = [i for i, of in enumerate(types) if of in QUOTED]
        self._doubles = [i for i, of in enumerate(types) if of is ColumnType.DOUBLE]
        # HMGET, with the key left out: it is the only part that differs.
        packed = command("HMGET", "", *STAMPS, *self.names)
        self._head, _, self._tail = packed.partition(b"$0\r\n\r\n")
        self._template = self._document()

    def id_json(self, entity_id: str) -> bytes:
        """The id as JSON."""
        return encode(entity_id)

    def hmget(self, key: str) -> bytes:
        """The command that asks for a row of a stream's view."""
        name = key.encode("utf-8", "surrogatepass")
        return b"%b$%d\r\n%b\r\n%b" % (self._head, len(name), name, self._tail)

    def from_hash(self, values: list[bytes | None]) -> Found | None:
        """What HMGET replied; None if there is no such row."""
        event_at, updated_at, *texts = values
        if updated_at is None or len(updated_at) != TIME_BYTES:  # no row, or not ours
            return None
        for i in self._texts:
            if (text := texts[i]) is not None:
                texts[i] = encode(text.decode())
        for i in self._quoted:
            if (text := texts[i]) is not None:
                texts[i] = b'"%b"' % text
        for i in self._doubles:
            # NaN and inf end with a letter; JSON has no such numbers.
            if (text := texts[i]) is not None and text[-1] > ord("9"):
                texts[i] = None
        pieces = [NULL if text is None else text for text in texts]
        return Found(event_at, updated_at, pieces, "redis")

    def json_of(self, entity_id: str, found: Found, now_ms: int, *, is_degraded: bool) -> bytes:
        """The row as the API answers it."""
        age_ms = age_ms_at(found.updated_at, now_ms)
        marks = b',"stale":true' if age_ms > self.view.stale_after_s * 1000 else b""
        if is_degraded:
            marks += b',"degraded":true'
        event_at = NULL if found.event_at is None else b'"%b"' % found.event_at
        stamps = (event_at, found.updated_at, age_ms, marks)
        return self._template % (encode(entity_id), *found.pieces, *stamps)

    def row_of(self, entity_id: str, found: Found, now_ms: int, *, is_degraded: bool) -> Row:
        """The row as Python has it."""
        values: list[Any] = decode(b"[%b]" % b",".join(found.pieces))
        age_ms = age_ms_at(found.updated_at, now_ms)
        return Row(
            id=entity_id,
            features=dict(zip(self.names, values, strict=True)),
            event_at=None if found.event_at is None else found.event_at.decode(),
            updated_at=found.updated_at.decode(),
            age_ms=age_ms,
            source=found.source,
            is_stale=age_ms > self.view.stale_after_s * 1000,
            is_degraded=is_degraded,
        )

    def _document(self) -> bytes:
        features = ",".join(f'"{name}":%b' for name in self.names)
        stamps = '"event_at":%b,"updated_at":"%b","age_ms":%d%b'
        return f'{{"id":%b,"features":{{{features}}},{stamps}}}'.encode()


@lru_cache(maxsize=256)
def plan_for(view: str, features: tuple[str, ...] | None) -> Plan:
    """The plan for these features, all when None; raises `NotFound`."""
    served = served_view(view)
    return Plan(served, served.columns(features))
