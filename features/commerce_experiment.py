"""What the sessions of a test group come to."""

from __future__ import annotations

import polars as pl

from features.dimensions import Dimensions
from features.session_set import SIGN
from features.window_set import WindowSet
from features.windows import Aggregation, Grid, Kind, windows

__all__ = ["COMMERCE_EXPERIMENT", "sessions_of_groups"]

OVER = windows("1h 24h 7d")


def _grid(name: str, kind: Kind, of: str | None, doc: str, unit: str | None = None) -> Grid:
    signed = Aggregation(kind=kind, of=of, signed=True)
    return Grid(name=name, aggregation=signed, windows=OVER, doc=doc, unit=unit)


COMMERCE_EXPERIMENT = WindowSet(
    entity=("experiment_group",),
    grids=(
        _grid("session_count", Kind.COUNT, None, "Sessions.", "sessions"),
        _grid("conversion_rate", Kind.MEAN, "converted", "Sessions with a purchase.", "ratio"),
        _grid("revenue_per_session", Kind.MEAN, "revenue", "Mean revenue of a session."),
    ),
)


def sessions_of_groups(changes: pl.DataFrame, dimensions: Dimensions) -> pl.DataFrame:
    """Visits that changed, as signed rows of the set above; those without a group are left out."""
    del dimensions
    return changes.filter(pl.col("experiment_group").is_not_null()).select(
        pl.concat_str("session_id", pl.col("started_at").cast(pl.String), separator="\x1f").alias(
            "event_id"
        ),
        pl.col("ended_at").alias("event_at"),
        SIGN,
        "experiment_group",
        "revenue",
        converted=(pl.col("purchases") > 0).cast(pl.Float64),
    )
