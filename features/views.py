"""Feature views: what the streams write and the stores serve, declared once.

The online table, the Redis hash, the Delta feature log and the catalogue are derived from these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import polars as pl

from features.columns import Column, ColumnType
from features.commerce_product import COMMERCE_PRODUCT, of_products
from features.commerce_user import COMMERCE_USER, shopping
from features.errors import UnknownName
from features.window_set import WindowSet

__all__ = [
    "COMMERCE_USER_FEATURES",
    "PRODUCT_FEATURES",
    "SESSION_FEATURES",
    "VIEWS",
    "FeatureView",
    "Messages",
    "Source",
    "view_named",
]

# Accepted events and the categories of products -> rows of a `WindowSet`
Source = Callable[[pl.DataFrame, pl.DataFrame], pl.DataFrame]

STAMPS = (
    Column("event_at", ColumnType.TIMESTAMP, "Newest event time in the row.", nullable=False),
    Column("updated_at", ColumnType.TIMESTAMP, "When its epoch was committed.", nullable=False),
    Column("feature_version", ColumnType.INT, "Version of the declaration.", nullable=False),
)
GUARD = (
    Column("generation", ColumnType.LONG, "Grows with every rebuild.", nullable=False),
    Column("epoch", ColumnType.LONG, "Epoch that wrote the row.", nullable=False),
)
LOG = (
    Column("event_at", ColumnType.TIMESTAMP, "Newest event time in the row.", nullable=False),
    Column("available_at", ColumnType.TIMESTAMP, "When it became readable.", nullable=False),
    Column("feature_version", ColumnType.INT, "Version of the declaration.", nullable=False),
    Column("batch_id", ColumnType.LONG, "Epoch that wrote the row.", nullable=False),
    Column("generation", ColumnType.LONG, "Grows with every rebuild.", nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """Every changed row is also a message on `topic`: the entity, `columns` and `event_at`."""

    topic: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureView:
    """One row for each entity, newest values online, every change in the log.

    `redis_key` is a template over the entity's columns; `ttl_seconds` runs from the last write that
    an event caused. `redis_lists`: features that are lists of their own in Redis, and their keys.
    A windowed view says by `windows` what is kept, and by `source` of which rows.
    """

    name: str
    version: int
    topic: str
    entity: tuple[Column, ...]
    features: tuple[Column, ...]
    redis_key: str
    ttl_seconds: int
    owner: str
    doc: str
    windows: WindowSet | None = None
    source: Source | None = None
    redis_lists: Mapping[str, str] = field(default_factory=dict)
    messages: Messages | None = None

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.entity)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Entity and features: what a row says, without when and by whom it was written."""
        return (*self.entity, *self.features)

    @property
    def online_columns(self) -> tuple[Column, ...]:
        """The columns of `online.<name>`."""
        return (*self.columns, *STAMPS, *GUARD)

    @property
    def log_columns(self) -> tuple[Column, ...]:
        """The columns of the Delta table `features/<name>`."""
        return (*self.columns, *LOG)


SESSION_FEATURES = FeatureView(
    name="session_features",
    version=1,
    topic="webtoon_user_events",
    owner="recommendations",
    doc="How one reader read one episode in one session: its latest visit.",
    entity=(
        Column("session_id", ColumnType.STRING, "The reading session.", nullable=False),
        Column("episode_id", ColumnType.STRING, "The episode.", nullable=False),
    ),
    features=(
        Column("user_id", ColumnType.STRING, "Reader of the first event.", pii=True),
        Column("country", ColumnType.STRING, "Country of the first event."),
        Column("device", ColumnType.STRING, "Device of the first event."),
        Column("platform", ColumnType.STRING, "Platform of the first event."),
        Column("experiment_group", ColumnType.STRING, "A/B/C group of the first event."),
        Column("ui_version", ColumnType.STRING, "User interface of the first event."),
        Column("genre", ColumnType.STRING, "Genre of the episode; null when unknown."),
        Column("is_completed", ColumnType.BOOLEAN, "A `complete` event exists."),
        Column("is_exit_tag", ColumnType.BOOLEAN, "An `exit` event exists and no `complete`."),
        Column(
            "completion_rate",
            ColumnType.DOUBLE,
            "1.0 when completed, else the largest scroll_ratio of any event, else 0.0.",
            unit="ratio",
        ),
        Column(
            "avg_scroll_ratio",
            ColumnType.DOUBLE,
            "Mean over `scroll` events; null without one.",
            unit="ratio",
        ),
        Column("dwell_time_ms", ColumnType.LONG, "Last minus first event time.", unit="ms"),
        Column("scroll_event_count", ColumnType.LONG, "Scroll events.", unit="events"),
        Column("event_count", ColumnType.LONG, "Events.", unit="events"),
        Column("started_at", ColumnType.TIMESTAMP, "First event time."),
        Column("ended_at", ColumnType.TIMESTAMP, "Last event time."),
        Column(
            "is_closed",
            ColumnType.BOOLEAN,
            "The watermark has passed an `exit` or `complete`, or 30 min without an event.",
        ),
    ),
    redis_key="webtoon_session:{session_id}:{episode_id}",
    ttl_seconds=2 * 3600,
)

COMMERCE_USER_FEATURES = FeatureView(
    name="commerce_user_features",
    version=1,
    topic="user-events",
    owner="recommendations",
    doc="What one shopper did in the last minutes, hours and days.",
    entity=(Column("user_id", ColumnType.STRING, "The shopper.", nullable=False),),
    features=COMMERCE_USER.columns,
    windows=COMMERCE_USER,
    source=shopping,
    redis_key="user_features:{user_id}",
    redis_lists={"recent_product_ids": "user_recent_products:{user_id}"},
    ttl_seconds=2 * 3600,
)

PRODUCT_FEATURES = FeatureView(
    name="product_features",
    version=1,
    topic="user-events",
    owner="recommendations",
    doc="How a product does lately, among all shoppers.",
    entity=(Column("product_id", ColumnType.STRING, "The product.", nullable=False),),
    features=COMMERCE_PRODUCT.columns,
    windows=COMMERCE_PRODUCT,
    source=of_products,
    redis_key="product:{product_id}",
    messages=Messages(topic="product-popularity", columns=("view_count_5m",)),
    ttl_seconds=2 * 3600,
)

# The first view of a topic says what its events are sorted by.
VIEWS: Mapping[str, FeatureView] = MappingProxyType(
    {view.name: view for view in (SESSION_FEATURES, COMMERCE_USER_FEATURES, PRODUCT_FEATURES)}
)


def view_named(name: str) -> FeatureView:
    """The view of that name; raises `UnknownName` with the nearest names."""
    try:
        return VIEWS[name]
    except KeyError:
        raise UnknownName("feature view", name, VIEWS) from None
