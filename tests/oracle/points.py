"""Point-in-time joins, said naively: look at every row of the log for every label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

__all__ = ["as_served", "by_event_time"]

Row = Mapping[str, Any]


def as_served(
    log: Sequence[Row], entity: Mapping[str, Any], at: datetime, ttl: timedelta | None
) -> Row | None:
    """What a reader of the online store got at that moment."""
    served = [
        row
        for row in log
        if _is_of(row, entity) and row["generation"] >= 1 and row["available_at"] <= at
    ]
    return _shown(max(served, key=_order, default=None), at, ttl, "available_at")


def by_event_time(
    log: Sequence[Row], entity: Mapping[str, Any], at: datetime, ttl: timedelta | None
) -> Row | None:
    """What was known of the events up to that moment."""
    before = [row for row in log if _is_of(row, entity) and row["event_at"] <= at]
    newest = max((row["event_at"] for row in before), default=None)
    same = sorted((row for row in before if row["event_at"] == newest), key=_order)
    known = [row for row in same if row["available_at"] <= at]
    return _shown((known[-1:] or same[:1] or [None])[0], at, ttl, "event_at")


def _is_of(row: Row, entity: Mapping[str, Any]) -> bool:
    return all(value is not None and row[name] == value for name, value in entity.items())


def _order(row: Row) -> tuple[Any, ...]:
    return (row["available_at"], row["generation"], row["batch_id"], not row["is_deleted"])


def _shown(row: Row | None, at: datetime, ttl: timedelta | None, time: str) -> Row | None:
    if row is None or row["is_deleted"]:
        return None
    return None if ttl is not None and at - row[time] > ttl else row
