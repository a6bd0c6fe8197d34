"""Rows as Feast's feature server answers: by column, each value with its status and its time.

First come the join keys, then the features by view. Statuses are Feast's: `PRESENT`, `NULL_VALUE`
(the entity is known, the feature has no value), `NOT_FOUND` (the entity is not), `OUTSIDE_MAX_AGE`
(there is a value, but an old one) and `INVALID` (no store could be asked). Times of features are
seconds since 1970 and nested values JSON text, since that is what Feast's types hold.

The pieces of JSON that the reader has are put together as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from features.columns import ColumnType
from serving.feast.request import Value
from serving.online.plan import Found
from serving.online.reader import Answer
from serving.online.rows import age_ms_at

__all__ = ["Read", "answer"]

encode = msgspec.json.encode
NULL = b"null"
# What protobuf says where there is no time.
NO_TIME = b'"1970-01-01T00:00:00Z"'
PRESENT, NULL_VALUE, NOT_FOUND = b'"PRESENT"', b'"NULL_VALUE"', b'"NOT_FOUND"'
OUTSIDE_MAX_AGE, INVALID = b'"OUTSIDE_MAX_AGE"', b'"INVALID"'
VECTOR = b'{"values":[%b],"statuses":[%b],"event_timestamps":[%b]}'


@dataclass(frozen=True, slots=True)
class Read:
    """What was found of one view; `ids` has None for what can be no id."""

    ids: Sequence[str | None]
    answer: Answer

    @property
    def rows(self) -> list[Found | None]:
        """The row of each entity."""
        found = self.answer.found
        return [None if one is None else found.get(one) for one in self.ids]

    def status(self, one: str | None, row: Found | None) -> bytes:
        """That of each value that this entity has."""
        if row is None:
            return INVALID if one in self.answer.unasked else NOT_FOUND
        most_ms = self.answer.plan.view.stale_after_s * 1000
        is_stale = age_ms_at(row.updated_at, self.answer.now_ms) > most_ms
        return OUTSIDE_MAX_AGE if is_stale else PRESENT


def answer(
    entities: Mapping[str, Sequence[Value]],
    reads: Sequence[Read],
    *,
    full_names: bool = False,
    with_versions: bool = False,
) -> bytes:
    """The document; `entities` holds the join keys alone."""
    results = [_given(values) for values in entities.values()]
    for read in reads:
        results += _vectors(read)
    metadata = _metadata(list(entities), reads, full_names=full_names, with_versions=with_versions)
    return b'{"metadata":%b,"results":[%b]}' % (metadata, b",".join(results))


def _metadata(
    names: list[str], reads: Sequence[Read], *, full_names: bool, with_versions: bool
) -> bytes:
    plans = [read.answer.plan for read in reads]
    for plan in plans:
        prefix = f"{plan.view.name}__" if full_names else ""
        names += [f"{prefix}{name}" for name in plan.names]
    if not with_versions:
        return encode({"feature_names": names})
    versions = [{"name": plan.view.name, "version": plan.view.version} for plan in plans]
    return encode({"feature_names": names, "feature_view_metadata": versions})


def _given(values: Sequence[Value]) -> bytes:
    count = len(values)
    statuses, times = b",".join([PRESENT] * count), b",".join([NO_TIME] * count)
    return VECTOR % (encode(values)[1:-1], statuses, times)


def _vectors(read: Read) -> Iterator[bytes]:
    rows, columns = read.rows, read.answer.plan.columns
    times = b",".join([NO_TIME if row is None else _time(row) for row in rows])
    found = [read.status(one, row) for one, row in zip(read.ids, rows, strict=True)]
    nothing = [NULL] * len(columns)
    pieces = zip(*(nothing if row is None else row.pieces for row in rows), strict=True)
    for column, values in zip(columns, pieces if rows else [()] * len(columns), strict=True):
        statuses = found if NULL not in values else _statuses(values, found)
        told = _converted(values, AS_FEAST[column.type]) if column.type in AS_FEAST else values
        yield VECTOR % (b",".join(told), b",".join(statuses), times)


def _statuses(values: Sequence[bytes], found: Sequence[bytes]) -> list[bytes]:
    return [
        NULL_VALUE if value == NULL and status in (PRESENT, OUTSIDE_MAX_AGE) else status
        for value, status in zip(values, found, strict=True)
    ]


def _converted(values: Sequence[bytes], convert: Callable[[bytes], bytes]) -> list[bytes]:
    return [value if value == NULL else convert(value) for value in values]


def _time(row: Found) -> bytes:
    """As protobuf spells a time: with 0, 3 or 6 digits of a fraction.

    A row that was published by day has no event time, but a moment of its publication.
    """
    moment = row.event_at or row.updated_at
    if moment.endswith(b".000000Z"):
        return b'"%bZ"' % moment[:-8]
    return b'"%bZ"' % moment[:-4] if moment.endswith(b"000Z") else b'"%b"' % moment


def _seconds(piece: bytes) -> bytes:
    return b"%d" % int(datetime.fromisoformat(piece[1:-1].decode()).timestamp())


def _text(piece: bytes) -> bytes:
    return encode(piece.decode())


AS_FEAST: Mapping[ColumnType, Callable[[bytes], bytes]] = {
    ColumnType.TIMESTAMP: _seconds,
    ColumnType.RECORDS: _text,
    ColumnType.STRING_MAP: _text,
}
