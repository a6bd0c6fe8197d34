"""Event time as integers: microseconds since 1970-01-01 UTC.

Integers because every number and every date that a client can send must have a place on the line,
year 9999 and -1e30 included; only what is accepted becomes a `TIMESTAMP`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

__all__ = ["BadTimestamp", "parse_timestamp", "to_iso"]

SECOND = 1_000_000
MILLISECONDS_FROM = 1e11
MILLISECONDS_UP_TO = 1e14
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - compared with naive values only
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


class BadTimestamp(ValueError):
    """A value that is no point in time."""


def parse_timestamp(value: object) -> int:
    """Microseconds UTC of an ISO-8601 text (no offset = UTC), epoch seconds or epoch milliseconds.

    A finite number below 1e11 counts seconds, below 1e14 milliseconds; anything else raises
    `BadTimestamp`.
    """
    if isinstance(value, str):
        return _from_number(float(value)) if NUMBER.fullmatch(value) else _from_text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadTimestamp(f"{type(value).__name__} is neither text nor number")
    return _from_number(value)


def _from_number(value: float) -> int:
    if not value < MILLISECONDS_UP_TO:
        raise BadTimestamp(f"{value:g} is beyond epoch milliseconds")
    if value == float("-inf"):
        raise BadTimestamp("-Infinity is no point in time")
    if value < MILLISECONDS_FROM:
        return round(value * SECOND)
    return round(value * 1000)


def _from_text(text: str) -> int:
    # The public e-commerce data sets write "2019-10-01 00:00:00 UTC".
    text = text.removesuffix(" UTC")
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise BadTimestamp(f"{text[:40]!r} is not ISO-8601") from None
    # Not astimezone: year 1 with an offset east of Greenwich lies before datetime's first day.
    offset = parsed.utcoffset() or timedelta()
    return (parsed.replace(tzinfo=None) - EPOCH - offset) // timedelta(microseconds=1)


def to_iso(micros: int) -> str:
    """`2026-01-01T00:00:00.000000Z`; for points within years 1 to 9999."""
    return (datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros)).strftime(
        "%Y-%m-%dT%H:%M:%S.%fZ"
    )
