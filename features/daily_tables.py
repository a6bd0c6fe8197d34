"""Tables of the daily Spark jobs that are published: what their readers may count on.

The jobs (`streaming/batch/`) say how they are computed, and write more tables than these. Theirs
is a row for each entity and run date below `batch/` of the lake; online is the newest run date.
"""

from __future__ import annotations

from features.batch_views import AS_OF_DATE, Mart
from features.columns import Column, ColumnType

__all__ = ["DAILY_TABLES"]

USER = Column("user_id", ColumnType.STRING, "The shopper.", nullable=False, pii=True)
PRODUCT = Column("product_id", ColumnType.STRING, "The product.", nullable=False)


def _text(name: str, doc: str) -> Column:
    return Column(name, ColumnType.STRING, doc)


def _whole(name: str, doc: str, unit: str) -> Column:
    return Column(name, ColumnType.LONG, doc, unit=unit)


def _real(name: str, doc: str, unit: str) -> Column:
    return Column(name, ColumnType.DOUBLE, doc, unit=unit)


def _list(name: str, doc: str, *items: Column) -> Column:
    return Column(name, ColumnType.RECORDS, doc, items=items)


DAILY_TABLES = (
    Mart(
        name="user_segments",
        doc="Which of five segments a shopper belongs to, by recency, frequency and money of 30 "
        "days.",
        key=("user_id",),
        columns=(
            USER,
            AS_OF_DATE,
            _text("segment", "`dormant`, `at_risk`, `vip`, `new` or `loyal`: the first that fits."),
            _whole("recency_days", "Days since the last event.", "days"),
            _whole("known_days", "Days since the first event.", "days"),
            _whole("frequency", "Purchases.", "events"),
            _real("monetary", "What was paid.", "currency"),
        ),
    ),
    Mart(
        name="user_behavior_features",
        doc="A shopper's habits over 30 days, and the risk that they stay away.",
        key=("user_id",),
        columns=(
            USER,
            AS_OF_DATE,
            _real("avg_session_duration", "Mean length of the sessions that have an id.", "s"),
            _whole("total_page_views_7d", "Pages and products viewed, over 7 days.", "events"),
            _whole("total_purchases_30d", "Purchases.", "events"),
            _real("avg_order_value", "Mean of what a purchase cost.", "currency"),
            _text("preferred_category", "The category of most events."),
            _text("device_type", "The device of most events."),
            _whole("last_activity_days_ago", "Days since the last event.", "days"),
            _real(
                "churn_risk_score",
                "1 - exp(-days away / usual gap between active days), the gap being 7 days for "
                "who was active on one.",
                "ratio",
            ),
        ),
    ),
    Mart(
        name="user_recommendation_features",
        doc="The products that a shopper cares for most, over 30 days.",
        key=("user_id",),
        columns=(
            USER,
            AS_OF_DATE,
            _whole("product_count", "Distinct products touched.", "products"),
            _list(
                "products",
                "At most 50, the dearest first.",
                PRODUCT,
                _whole("affinity", "A view or a click 1, a cart 3, a purchase 5.", "points"),
                _whole("purchase_count", "Purchases of it.", "events"),
            ),
            Column("last_event_at", ColumnType.TIMESTAMP, "The last touch of any of them."),
        ),
    ),
    Mart(
        name="related_products",
        doc="Which products the same shoppers care for, over 30 days.",
        key=("product_id",),
        columns=(
            PRODUCT,
            AS_OF_DATE,
            _whole("user_count", "Shoppers who touched it.", "users"),
            _list(
                "products",
                "At most 50, those of most common shoppers first.",
                PRODUCT,
                _whole("users", "Shoppers who touched both.", "users"),
                _real("score", "Of the geometric mean of their shoppers: the cosine.", "ratio"),
            ),
        ),
    ),
)
