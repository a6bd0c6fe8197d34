"""Which events are new: copies are recognised by `event_id`, very old events are late.

An id is remembered while its event is younger than the dedup horizon (event time, behind the
watermark). An event older than that cannot be told from a copy any more, so it is late, whatever it
is. A known id is a duplicate, however old: never late.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

__all__ = ["SEEN", "Sifted", "sift"]

SEEN = {"event_id": pl.String, "event_at": pl.Int64}


@dataclass(frozen=True, slots=True)
class Sifted:
    """A partition of a batch: every event stands in exactly one of the three."""

    fresh: pl.DataFrame
    late: pl.DataFrame
    duplicates: int


def sift(seen: pl.DataFrame, events: pl.DataFrame, oldest_us: int) -> Sifted:
    """Split `events` by what `seen` remembers; older than `oldest_us` is late."""
    unique = events.unique("event_id", keep="first", maintain_order=True)
    if seen.height:
        unique = unique.join(seen, on="event_id", how="anti", maintain_order="left")
    is_late = pl.col("event_at") < oldest_us
    late = unique.filter(is_late)
    fresh = unique.filter(~is_late) if late.height else unique
    return Sifted(fresh, late, events.height - unique.height)
