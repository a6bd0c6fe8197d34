"""The marts: what dbt builds in schema `marts`, as others rely on it; and all that is published.

dbt's models say how a mart is computed; here stands what its readers may count on. The gate over
the marts and what is published to the online store are derived from it. A mart may hold more
columns than these.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from features.batch_views import AS_OF, AS_OF_DATE, BatchView, Mart
from features.columns import Column, ColumnType
from features.daily_tables import DAILY_TABLES

__all__ = ["AS_OF", "MARTS", "PUBLISHED", "BatchView", "Mart"]


def _text(name: str, doc: str, *, pii: bool = False) -> Column:
    return Column(name, ColumnType.STRING, doc, pii=pii)


def _id(name: str, doc: str, *, pii: bool = False) -> Column:
    return Column(name, ColumnType.STRING, doc, nullable=False, pii=pii)


def _count(name: str, doc: str) -> Column:
    return Column(name, ColumnType.LONG, doc, unit="events")


def _ratio(name: str, doc: str) -> Column:
    return Column(name, ColumnType.DOUBLE, doc, unit="ratio")


def _money(name: str, doc: str) -> Column:
    return Column(name, ColumnType.DOUBLE, doc, unit="currency")


USER = _id("user_id", "The user.", pii=True)
EVENT_DATE = Column("event_date", ColumnType.DATE, "Day of the events, UTC.", nullable=False)

EPISODE = _id("episode_id", "The episode.")
READ_COUNT = _count("read_count", "Reads.")
READS = (
    READ_COUNT,
    _ratio("avg_completion_rate", "Mean completion rate of the reads."),
    _ratio("exit_rate", "Exits for each read."),
)
DWELL_TIME = Column("avg_dwell_time_ms", ColumnType.DOUBLE, "Mean dwell time.", unit="ms")

DAILY = (
    Mart(
        name="mart_user_daily",
        doc="What a shopper did on a day.",
        key=("user_id", "event_date"),
        day="event_date",
        columns=(
            USER,
            EVENT_DATE,
            _count("session_count", "Sessions."),
            _count("page_view_count", "Pages viewed."),
            _count("click_count", "Clicks."),
            _count("cart_count", "Additions to the cart."),
            _count("search_count", "Searches."),
            _count("purchase_count", "Purchases."),
            _money("revenue", "What was paid."),
        ),
    ),
    Mart(
        name="mart_funnel_daily",
        doc="How many get from a view to a purchase, by platform and day.",
        key=("platform", "event_date"),
        day="event_date",
        columns=(
            _id("platform", "Where the application runs."),
            EVENT_DATE,
            *(
                _count(f"{step}_{of}", f"{of.capitalize()} of step {step}.")
                for of in ("count", "users")
                for step in ("view", "click", "cart", "purchase")
            ),
            _ratio("view_to_click_rate", "Clicks per view."),
            _ratio("click_to_cart_rate", "Additions to the cart per click."),
            _ratio("cart_to_purchase_rate", "Purchases per addition."),
            _ratio("overall_rate", "Purchases per view."),
        ),
    ),
    Mart(
        name="mart_product_daily",
        doc="What became of a product on a day.",
        key=("product_id", "event_date"),
        day="event_date",
        columns=(
            _id("product_id", "The product."),
            EVENT_DATE,
            _count("view_count", "Views."),
            _count("click_count", "Clicks."),
            _count("cart_count", "Additions to a cart."),
            _count("cart_quantity", "Pieces added."),
            _count("purchase_count", "Purchases that hold it."),
            _count("purchase_quantity", "Pieces bought."),
            _money("revenue", "What was paid for it."),
        ),
    ),
    Mart(
        name="mart_orders",
        doc="An order of a day.",
        key=("order_id", "event_date"),
        day="event_date",
        columns=(
            _id("order_id", "The order."),
            Column("user_id", ColumnType.STRING, "Who bought.", pii=True),
            EVENT_DATE,
            Column("ordered_at", ColumnType.TIMESTAMP, "When.", nullable=False),
            _text("platform", "Where the application runs."),
            _text("payment_method", "How it was paid."),
            _count("item_count", "Pieces."),
            _money("gross_amount", "Sum over the items."),
            _money("discount", "Discount."),
            _money("shipping_fee", "Shipping."),
            _money("total_amount", "What was paid."),
        ),
    ),
    Mart(
        name="fact_daily_metrics",
        doc="A figure of a day.",
        key=("event_date", "metric_name"),
        day="event_date",
        columns=(
            EVENT_DATE,
            _id("metric_name", "Which figure."),
            Column("metric_value", ColumnType.DOUBLE, "Its value; null if a ratio of nothing."),
        ),
    ),
)

FEATURES = (
    Mart(
        name="user_features",
        doc="How a reader reads, over 30 days.",
        key=("user_id",),
        columns=(
            USER,
            AS_OF_DATE,
            READ_COUNT,
            _ratio("user_avg_completion_rate", "Mean completion rate of the reads."),
            _ratio("user_exit_rate", "Exits for each read."),
            DWELL_TIME,
            _text("top_genre", "The genre read most."),
            Column("last_read_at", ColumnType.TIMESTAMP, "Last event of the last read."),
        ),
    ),
    Mart(
        name="episode_features",
        doc="How an episode is read, over 30 days, and what is known of it.",
        key=("episode_id",),
        columns=(
            EPISODE,
            AS_OF_DATE,
            _text("genre", "Genre of the episode."),
            Column("tags", ColumnType.STRING_LIST, "Tags of the episode."),
            Column("episode_avg_rating", ColumnType.DOUBLE, "Mean rating, from the metadata."),
            READ_COUNT,
            _count("read_count_1d", "Reads of the last day."),
            _count("reader_count", "Distinct readers."),
            _ratio("episode_avg_completion_rate", "Mean completion rate of the reads."),
            _ratio("episode_exit_rate", "Exits for each read."),
            _ratio("episode_avg_scroll_ratio", "Mean over the reads of their scroll ratio."),
            Column("current_popularity_rank", ColumnType.LONG, "The most read one is 1."),
        ),
    ),
    Mart(
        name="segment_features",
        doc="When and where a genre is read to the end, over 7 days.",
        key=("country", "genre", "hour_of_day"),
        columns=(
            _id("country", "Country of the reads."),
            _id("genre", "Genre of the episodes."),
            Column("hour_of_day", ColumnType.INT, "Hour of the reads' end, UTC.", nullable=False),
            AS_OF_DATE,
            *READS,
        ),
    ),
    Mart(
        name="experiment_results",
        doc="How the groups of a test read, over 30 days, compared with group A.",
        key=("experiment_group", "ui_version"),
        may_be_empty=True,  # nobody has to run a test
        columns=(
            _id("experiment_group", "A/B/C group."),
            _id("ui_version", "User interface; empty where none is said."),
            AS_OF_DATE,
            *READS,
            Column("z", ColumnType.DOUBLE, "Two-proportion z-test of exit_rate against group A."),
            Column("p_value", ColumnType.DOUBLE, "Two-sided p of z."),
        ),
    ),
    Mart(
        name="content_quality",
        doc="Whether an episode keeps its readers better than its genre does, over 7 days.",
        key=("episode_id",),
        columns=(
            EPISODE,
            AS_OF_DATE,
            _text("genre", "Genre of the episode."),
            *READS,
            DWELL_TIME,
            Column("content_quality_score", ColumnType.DOUBLE, "0..100, 50 is usual."),
            _text("quality_label", "`boost`, `neutral` or `exclude`."),
        ),
    ),
)

MARTS: Mapping[str, Mart] = MappingProxyType({mart.name: mart for mart in (*DAILY, *FEATURES)})
# `_daily`, because the streams have views of almost the same names.
PUBLISHED: Mapping[str, BatchView] = MappingProxyType(
    {
        view.name: view
        for view in (
            *(BatchView(name=f"{mart.name}_daily", mart=mart, made_by="dbt") for mart in FEATURES),
            *(BatchView(name=table.name, mart=table, made_by="spark") for table in DAILY_TABLES),
        )
    }
)
