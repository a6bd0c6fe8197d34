"""Sessions of shoppers: those that the shop names, and those that ten quiet minutes end."""

from __future__ import annotations

import sys

import polars as pl

from features.columns import ColumnType
from features.session_set import Measure, Merge, SessionSet, Shown, shown

__all__ = ["COMMERCE_SESSION", "DERIVED_SESSION"]

MINUTE_US = 60 * 1_000_000
EVENT = pl.col("event_type")
DURATION_US = pl.col("ended_at") - pl.col("started_at")


def _count(name: str, event_type: str) -> Measure:
    return Measure(name=name, merge=Merge.SUM, of=EVENT.eq(event_type), type=pl.Int64)


def _counted(name: str, doc: str) -> Shown:
    return shown(name, pl.col(name), ColumnType.LONG, doc, unit="events")


COMMERCE_SESSION = SessionSet(
    key=("session_id",),
    gap_us=30 * MINUTE_US,
    of_first=("experiment_group", "ui_version"),
    measures=(
        Measure(
            # A shopper may log in on the way: the smallest text is the earliest known shopper.
            name="user",
            merge=Merge.MIN,
            of=pl.when(pl.col("user_id").is_not_null()).then(
                pl.format(
                    "{}\x1f{}\x1f{}",
                    pl.col("event_at").cast(pl.String).str.zfill(20),
                    "event_id",
                    "user_id",
                )
            ),
            type=pl.String,
        ),
        _count("page_views", "page_view"),
        _count("clicks", "click"),
        _count("cart_adds", "add_to_cart"),
        _count("purchases", "purchase"),
        Measure(
            name="pages",
            merge=Merge.UNION,
            of=pl.when(EVENT == "page_view").then(pl.concat_list("page_url")),
            type=pl.List(pl.String),
        ),
        Measure(
            name="revenue",
            merge=Merge.SUM,
            of=pl.when(EVENT == "purchase").then("total_amount").fill_null(0.0),
            type=pl.Float64,
        ),
    ),
    features=(
        shown(
            "user_id",
            pl.col("user").str.split("\x1f").list.last(),
            ColumnType.STRING,
            "The first shopper known.",
            pii=True,
        ),
        shown("start_time", pl.col("started_at"), ColumnType.TIMESTAMP, "First event time."),
        shown("end_time", pl.col("ended_at"), ColumnType.TIMESTAMP, "Last event time."),
        shown(
            "duration_ms",
            DURATION_US // 1000,
            ColumnType.LONG,
            "Last minus first event time.",
            unit="ms",
        ),
        _counted("page_views", "Pages viewed."),
        _counted("clicks", "Clicks."),
        shown(
            "unique_pages",
            pl.col("pages").list.len().fill_null(0).cast(pl.Int64),
            ColumnType.LONG,
            "Distinct addresses of the pages viewed; stands still at 1,000.",
            unit="pages",
        ),
        _counted("cart_adds", "Additions to the cart."),
        _counted("purchases", "Purchases."),
        shown(
            "revenue",
            pl.col("revenue").clip(upper_bound=sys.float_info.max),
            ColumnType.DOUBLE,
            "Sum of the purchases' amounts.",
        ),
        shown("has_conversion", pl.col("purchases") > 0, ColumnType.BOOLEAN, "A purchase exists."),
    ),
)

DERIVED_SESSION = SessionSet(
    key=("user_id",),
    start="session_start",
    gap_us=10 * MINUTE_US,
    features=(
        _counted("event_count", "Events."),
        shown(
            "duration_seconds",
            DURATION_US / 1_000_000,
            ColumnType.DOUBLE,
            "Last minus first event time.",
            unit="s",
        ),
    ),
)
