"""What the sessions of a test group come to."""

from __future__ import annotations

import polars as pl

from features.dimensions import Dimensions
from features.session_set import SIGN
from features.window_set import WindowSet
from features.windows import HOUR_DAY_WEEK, Kind, signed_grid

__all__ = ["COMMERCE_EXPERIMENT", "sessions_of_groups"]

COMMERCE_EXPERIMENT = WindowSet(
    entity=("experiment_group",),
    grids=(
        signed_grid(
            "session_count", Kind.COUNT, None, "Sessions.", over=HOUR_DAY_WEEK, unit="sessions"
        ),
        signed_grid(
            "conversion_rate",
            Kind.MEAN,
            "converted",
            "Sessions with a purchase.",
            over=HOUR_DAY_WEEK,
            unit="ratio",
        ),
        signed_grid(
            "revenue_per_session",
            Kind.MEAN,
            "revenue",
            "Mean revenue of a session.",
            over=HOUR_DAY_WEEK,
        ),
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
