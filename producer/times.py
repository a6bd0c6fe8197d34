"""Times as text: the producer counts in microseconds since the epoch, clients write ISO-8601."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

__all__ = ["HOUR_US", "MS_US", "SECOND_US", "local_time", "parse_iso_us", "to_iso"]

MS_US = 1_000
SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=4096)
def _second_text(second: int) -> str:
    return (EPOCH + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S")


def to_iso(at_us: int) -> str:
    """ISO-8601, UTC, milliseconds: `2026-01-01T00:00:00.000Z`."""
    second, rest = divmod(at_us, SECOND_US)
    return f"{_second_text(second)}.{rest // MS_US:03d}Z"


def parse_iso_us(text: str) -> int:
    """Microseconds since the epoch; without an offset the time is UTC. Raises ValueError."""
    at = datetime.fromisoformat(text)
    aware = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)


def local_time(at_us: int, utc_offset: int) -> datetime:
    """The wall clock `utc_offset` hours east of Greenwich, to read an hour or a weekday from."""
    return EPOCH + timedelta(microseconds=at_us, hours=utc_offset)
