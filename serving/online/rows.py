"""A row as it is served: values as JSON has them, from whichever store."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

__all__ = ["Row", "Source", "age_ms_of", "unknown"]

Source = Literal["redis", "postgres", "none"]
START = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One entity's features by name, None each where there is no value.

    Numbers, booleans and lists are such; times and dates are ISO-8601 text in UTC. `features` is
    None for an unknown entity. `age_ms` runs since `updated_at`: when its epoch was committed, or
    its view published. A batch view has no `event_at`.
    """

    id: str
    features: dict[str, Any] | None
    event_at: str | None
    updated_at: str | None
    age_ms: int | None
    source: Source
    is_stale: bool = False


def unknown(entity_id: str) -> Row:
    """The row of an entity that no store knows."""
    return Row(
        id=entity_id, features=None, event_at=None, updated_at=None, age_ms=None, source="none"
    )


def age_ms_of(updated_at: str, now: float | None = None) -> int:
    """How long ago that was; clocks of two machines may differ, but nothing is younger than 0."""
    now_ms = int((time.time() if now is None else now) * 1000)
    return max(0, now_ms - (datetime.fromisoformat(updated_at) - START) // MILLISECOND)
