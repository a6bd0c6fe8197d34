"""A row as it is served: values as JSON has them, from whichever store."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

__all__ = ["Row", "Source", "age_ms_at", "unknown"]

Source = Literal["redis", "postgres", "none"]
START = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One entity's features by name, None each where there is no value.

    Numbers, booleans and lists are such; times and dates are ISO-8601 text in UTC. `features` is
    None for an entity that is unknown, or `is_unavailable`: nobody could be asked. `age_ms` runs
    since `updated_at`: when its epoch was committed, or its view published. A batch view has no
    `event_at`. `is_degraded`: too many events of its source break their contract at present.
    """

    id: str
    features: dict[str, Any] | None = None
    event_at: str | None = None
    updated_at: str | None = None
    age_ms: int | None = None
    source: Source = "none"
    is_stale: bool = False
    is_degraded: bool = False
    is_unavailable: bool = False


def age_ms_at(updated_at: bytes, now_ms: int) -> int:
    """How long ago that was; clocks of two machines may differ, but nothing is younger than 0."""
    return max(0, now_ms - _epoch_ms(updated_at))


@lru_cache(maxsize=4096)
def _epoch_ms(moment: bytes) -> int:
    """All rows of an epoch have one moment, so it is mostly known already."""
    return (datetime.fromisoformat(moment.decode()) - START) // MILLISECOND


def unknown(entity_id: str) -> Row:
    """The row of an entity that no store knows."""
    return Row(id=entity_id)
