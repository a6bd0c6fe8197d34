"""Labels: each view of a product, and whether the shopper put it into the cart soon after."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

__all__ = ["SOON", "labels_of"]

SOON = timedelta(minutes=30)
WHO = ["user_id", "product_id"]


def labels_of(events: pl.DataFrame) -> pl.DataFrame:
    """`user_id`, `product_id`, `label_at` and `label` of every view whose outcome is known: there
    are events for as long after it as the outcome may take.
    """
    known = events.drop_nulls(WHO).sort("event_at", "event_id")
    carts = known.filter(pl.col("event_type") == "add_to_cart").select(*WHO, "event_at")
    views = known.filter(
        pl.col("event_type") == "product_view",
        pl.col("event_at") <= events["event_at"].max() - SOON,
    )
    found = views.select(*WHO, label_at="event_at").join_asof(
        carts.with_columns(carted_at="event_at"),
        left_on="label_at",
        right_on="event_at",
        by=WHO,
        strategy="forward",
        tolerance=SOON,
        check_sortedness=False,
    )
    return found.select(*WHO, "label_at", label=pl.col("carted_at").is_not_null().cast(pl.Int8))
