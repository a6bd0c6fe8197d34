"""Rows as Feast's feature server answers: by column, each value with its status and its time.

First come the join keys, then the features by view. Statuses are Feast's: `PRESENT`, `NULL_VALUE`
(the entity is known, the feature has no value), `NOT_FOUND` (the entity is not) and
`OUTSIDE_MAX_AGE` (there is a value, but an old one). Times of features are seconds since 1970 and
nested values JSON text, since that is what Feast's types hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from features.columns import Column, ColumnType
from serving.feast.request import Asked
from serving.online.rows import Row

__all__ = ["answer"]

# What protobuf says where there is no time.
NO_TIME = "1970-01-01T00:00:00Z"
PRESENT, NULL_VALUE, NOT_FOUND = "PRESENT", "NULL_VALUE", "NOT_FOUND"
OUTSIDE_MAX_AGE = "OUTSIDE_MAX_AGE"
Vector = dict[str, list[Any]]


def answer(
    entities: Mapping[str, Sequence[Any]],
    read: Sequence[tuple[Asked, Sequence[Row]]],
    *,
    full_names: bool,
    with_versions: bool = False,
) -> dict[str, Any]:
    """The document; `entities` holds the join keys alone."""
    names = list(entities)
    results = [_given(values) for values in entities.values()]
    for asked, rows in read:
        names += [_name(asked, column, full_names=full_names) for column in asked.features]
        results += _vectors(asked, rows)
    metadata: dict[str, Any] = {"feature_names": names}
    if with_versions:
        metadata["feature_view_metadata"] = [
            {"name": asked.view.name, "version": asked.view.version} for asked, _ in read
        ]
    return {"metadata": metadata, "results": results}


def _name(asked: Asked, column: Column, *, full_names: bool) -> str:
    return f"{asked.view.name}__{column.name}" if full_names else column.name


def _given(values: Sequence[Any]) -> Vector:
    times = [NO_TIME] * len(values)
    return {"values": [*values], "statuses": [PRESENT] * len(values), "event_timestamps": times}


def _vectors(asked: Asked, rows: Sequence[Row]) -> list[Vector]:
    # A row that a batch published has no event time, but a moment of its publication.
    times = [_time(row.event_at or row.updated_at) for row in rows]
    found = [PRESENT if not row.is_stale else OUTSIDE_MAX_AGE for row in rows]
    return [_vector(column, rows, found, times) for column in asked.features]


def _vector(column: Column, rows: Sequence[Row], found: Sequence[str], times: list[str]) -> Vector:
    name = column.name
    values = [row.features[name] if row.features else None for row in rows]
    statuses = [
        status if value is not None else NULL_VALUE if row.features else NOT_FOUND
        for status, value, row in zip(found, values, rows, strict=True)
    ]
    if column.type in AS_FEAST:
        convert = AS_FEAST[column.type]
        values = [None if value is None else convert(value) for value in values]
    return {"values": values, "statuses": statuses, "event_timestamps": times}


def _time(iso: str | None) -> str:
    """As protobuf spells a time: without a fraction, or with 3 or 6 digits."""
    if iso is None:
        return NO_TIME
    if len(iso) == len("2026-01-01T00:00:00.000000Z") and iso.endswith("000Z"):
        return f"{iso[:19]}Z" if iso.endswith(".000000Z") else f"{iso[:23]}Z"
    return iso


def _seconds(iso: str) -> int:
    return int(datetime.fromisoformat(iso).timestamp())


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


AS_FEAST: Mapping[ColumnType, Callable[[Any], Any]] = {
    ColumnType.TIMESTAMP: _seconds,
    ColumnType.RECORDS: _json,
    ColumnType.STRING_MAP: _json,
}
