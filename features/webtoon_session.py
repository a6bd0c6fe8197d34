"""How a reader read an episode: sessions of webtoon events."""

from __future__ import annotations

import polars as pl

from features.columns import ColumnType
from features.dimensions import Dimensions
from features.session_set import Measure, Merge, SessionSet, Shown, shown

__all__ = ["COMPLETION_RATE", "IS_EXIT", "SCROLL_RATIO", "WEBTOON_SESSION", "reading"]

GAP_US = 30 * 60 * 1_000_000
EVENT, AT, RATIO = pl.col("event_type"), pl.col("event_at"), pl.col("scroll_ratio")
IS_COMPLETED = pl.col("completed_at").is_not_null()
SCROLLS = pl.col("scroll_event_count")
IS_EXIT = pl.col("exited_at").is_not_null() & ~IS_COMPLETED
COMPLETION_RATE = pl.when(IS_COMPLETED).then(1.0).otherwise(pl.col("max_scroll").fill_null(0.0))
SCROLL_RATIO = pl.when(SCROLLS > 0).then(pl.col("scroll_sum") / SCROLLS)


def _of_first(name: str, doc: str, *, pii: bool = False) -> Shown:
    return shown(name, pl.col(name), ColumnType.STRING, doc, pii=pii)


WEBTOON_SESSION = SessionSet(
    key=("session_id", "episode_id"),
    gap_us=GAP_US,
    of_first=(
        "user_id",
        "country",
        "device",
        "platform",
        "experiment_group",
        "ui_version",
        "genre",
    ),
    measures=(
        Measure(
            name="completed_at",
            merge=Merge.MIN,
            of=pl.when(EVENT == "complete").then(AT),
            type=pl.Int64,
        ),
        Measure(
            name="exited_at",
            merge=Merge.MIN,
            of=pl.when(EVENT == "exit").then(AT),
            type=pl.Int64,
        ),
        Measure(name="max_scroll", merge=Merge.MAX, of=RATIO, type=pl.Float64),
        Measure(
            name="scroll_sum",
            merge=Merge.SUM,
            of=pl.when(EVENT == "scroll").then(RATIO).otherwise(0.0),
            type=pl.Float64,
        ),
        Measure(name="scroll_event_count", merge=Merge.SUM, of=EVENT == "scroll", type=pl.Int64),
    ),
    ends=("completed_at", "exited_at"),
    closes=True,
    features=(
        _of_first("user_id", "Reader of the first event.", pii=True),
        _of_first("country", "Country of the first event."),
        _of_first("device", "Device of the first event."),
        _of_first("platform", "Platform of the first event."),
        _of_first("experiment_group", "A/B/C group of the first event."),
        _of_first("ui_version", "User interface of the first event."),
        _of_first("genre", "Genre of the episode; null when unknown."),
        shown("is_completed", IS_COMPLETED, ColumnType.BOOLEAN, "A `complete` event exists."),
        shown(
            "is_exit_tag",
            IS_EXIT,
            ColumnType.BOOLEAN,
            "An `exit` event exists and no `complete`.",
        ),
        shown(
            "completion_rate",
            COMPLETION_RATE,
            ColumnType.DOUBLE,
            "1.0 when completed, else the largest scroll_ratio of any event, else 0.0.",
            unit="ratio",
        ),
        shown(
            "avg_scroll_ratio",
            SCROLL_RATIO,
            ColumnType.DOUBLE,
            "Mean over `scroll` events; null without one.",
            unit="ratio",
        ),
        shown(
            "dwell_time_ms",
            (pl.col("ended_at") - pl.col("started_at")) // 1000,
            ColumnType.LONG,
            "Last minus first event time.",
            unit="ms",
        ),
        shown("scroll_event_count", SCROLLS, ColumnType.LONG, "Scroll events.", unit="events"),
        shown("event_count", pl.col("event_count"), ColumnType.LONG, "Events.", unit="events"),
        shown("started_at", pl.col("started_at"), ColumnType.TIMESTAMP, "First event time."),
        shown("ended_at", pl.col("ended_at"), ColumnType.TIMESTAMP, "Last event time."),
        shown(
            "is_closed",
            pl.col("is_closed"),
            ColumnType.BOOLEAN,
            "The watermark has passed an `exit` or `complete`, or 30 min without an event.",
        ),
    ),
)


def reading(events: pl.DataFrame, dimensions: Dimensions) -> pl.DataFrame:
    """Accepted events with the genre of their episode."""
    genres = dimensions.episodes.select("episode_id", "genre")
    return events.join(genres, on="episode_id", how="left")
