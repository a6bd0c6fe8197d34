"""What the reads of the last hours and days say of users, episodes, segments and experiments.

A read is a visit of a session (`features.webtoon_session`). It counts in the window of its last
event and belongs to the user of its first. While it goes on it is taken back and counted again, so
every aggregation here is of signed rows.
"""

from __future__ import annotations

import polars as pl

from features.columns import ColumnType
from features.dimensions import Dimensions
from features.session_set import SIGN
from features.webtoon_session import COMPLETION_RATE, IS_EXIT, SCROLL_RATIO
from features.window_set import WindowSet
from features.windows import HOUR_DAY_WEEK, Grid, Kind, Latest, Window, signed_grid, windows

__all__ = ["EPISODE", "EXPERIMENT", "SEGMENT", "USER", "reads"]

WEEK = windows("7d")


def _reads(over: tuple[Window, ...] = HOUR_DAY_WEEK) -> tuple[Grid, ...]:
    return (
        signed_grid("read_count", Kind.COUNT, None, "Reads.", over=over, unit="reads"),
        signed_grid(
            "avg_completion_rate",
            Kind.MEAN,
            "completion_rate",
            "Mean completion rate of the reads.",
            over=over,
            unit="ratio",
        ),
        signed_grid(
            "exit_rate", Kind.MEAN, "exited", "Exits for each read.", over=over, unit="ratio"
        ),
    )


DWELL = signed_grid(
    "avg_dwell_time_ms",
    Kind.MEAN,
    "dwell_time_ms",
    "Mean dwell time.",
    over=HOUR_DAY_WEEK,
    unit="ms",
)

USER = WindowSet(
    entity=("user_id",),
    grids=(
        *_reads(),
        DWELL,
        signed_grid("top_genre", Kind.MOST, "genre", "The genre read most.", over=HOUR_DAY_WEEK),
    ),
    latest=(
        Latest(
            name="last_episode_ids",
            of="episode_id",
            most=50,
            signed=True,
            doc="The last 50 distinct episodes read, oldest first.",
        ),
        Latest(name="country", of="country", signed=True, doc="Country of the last read."),
        Latest(
            name="last_seen_at",
            of="event_at",
            type=ColumnType.TIMESTAMP,
            signed=True,
            doc="Time of the last event.",
        ),
    ),
)

EPISODE = WindowSet(
    entity=("episode_id",),
    grids=(
        *_reads(),
        signed_grid(
            "unique_reader_count",
            Kind.DISTINCT,
            "user_id",
            "Distinct readers.",
            over=HOUR_DAY_WEEK,
            unit="users",
        ),
        signed_grid(
            "avg_scroll_ratio",
            Kind.MEAN,
            "avg_scroll_ratio",
            "Mean over the reads of their mean scroll ratio.",
            over=HOUR_DAY_WEEK,
            unit="ratio",
        ),
        DWELL,
    ),
)

SEGMENT = WindowSet(entity=("country", "genre", "hour_of_day"), grids=_reads(WEEK))

EXPERIMENT = WindowSet(entity=("experiment_group", "ui_version"), grids=_reads())


def reads(changes: pl.DataFrame, dimensions: Dimensions) -> pl.DataFrame:
    """Visits that changed, as signed rows of the sets above."""
    del dimensions
    ended = pl.from_epoch("ended_at", "us")
    return changes.select(
        pl.concat_str(
            "session_id", "episode_id", pl.col("started_at").cast(pl.String), separator="\x1f"
        ).alias("event_id"),
        pl.col("ended_at").alias("event_at"),
        SIGN,
        "user_id",
        "episode_id",
        "country",
        "genre",
        "experiment_group",
        pl.col("ui_version").fill_null(""),
        hour_of_day=ended.dt.hour().cast(pl.String),
        completion_rate=COMPLETION_RATE,
        exited=IS_EXIT.cast(pl.Float64),
        avg_scroll_ratio=SCROLL_RATIO,
        dwell_time_ms=(pl.col("ended_at") - pl.col("started_at")) // 1000,
    )
