"""Feature views: what the streams write and the stores serve, declared once.

The online table, the Redis hash, the Delta feature log and the catalogue are derived from these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import polars as pl

from features.boards import EPISODE_BOARD, Board, tests_of_exits, tests_of_sales
from features.columns import Column, ColumnType
from features.commerce_experiment import COMMERCE_EXPERIMENT
from features.commerce_product import COMMERCE_PRODUCT
from features.commerce_sessions import COMMERCE_SESSION, DERIVED_SESSION
from features.commerce_user import (
    COMMERCE_USER,
    patterns_of_users,
    sessions_of_users,
    shopping,
)
from features.dimensions import Dimensions
from features.errors import UnknownName
from features.feeds import FEEDS, Feed, Source
from features.session_set import SessionSet
from features.webtoon_reads import EPISODE, EXPERIMENT, SEGMENT, USER
from features.webtoon_session import WEBTOON_SESSION, reading
from features.window_set import WindowSet

__all__ = [
    "PATTERNS",
    "VIEWS",
    "FeatureView",
    "Messages",
    "Source",
    "as_they_are",
    "view_named",
    "views_of",
]


PATTERNS = "patterns"


def as_they_are(rows: pl.DataFrame, _: Dimensions) -> pl.DataFrame:
    """The rows themselves."""
    return rows


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
    Column("is_deleted", ColumnType.BOOLEAN, "From then on the entity was no more."),
    Column("generation", ColumnType.LONG, "Grows with rebuilds; 0: backfilled.", nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """Every changed row is also a message on `topic`: the entity, `columns` and `event_at`."""

    topic: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureView:
    """One row for each entity, newest values online, every change in the log.

    What is kept of an entity is declared by `sessions` or by `windows`, and of which rows by
    `source`: of the accepted events of the topic, or where there is a `feed` of its rows. `also`:
    rows made of what changed in other views of the same feed, by their names, or in the pattern
    that is shown (`PATTERNS`).

    `board`: what depends on all rows of the view. A view that is computed elsewhere only says
    which columns are `stored`.

    `redis_key` is a template over the entity's columns; `ttl_seconds` runs from the last write that
    an event caused. `redis_lists`: features that are lists of their own in Redis, and their keys.
    """

    name: str
    version: int
    topic: str
    entity: tuple[Column, ...]
    sessions: SessionSet | None = None
    windows: WindowSet | None = None
    board: Board | None = None
    stored: tuple[Column, ...] = ()
    feed: Feed | None = None
    source: Source = as_they_are
    also: Mapping[str, Source] = field(default_factory=dict)
    redis_key: str = ""
    ttl_seconds: int = 2 * 3600
    owner: str
    doc: str
    redis_lists: Mapping[str, str] = field(default_factory=dict)
    messages: Messages | None = None

    @property
    def features(self) -> tuple[Column, ...]:
        """One column for each feature."""
        declared = self.sessions or self.windows
        of_board = self.board.columns if self.board else ()
        return (*(declared.columns if declared else self.stored), *of_board)

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


def _id(name: str, doc: str) -> Column:
    return Column(name, ColumnType.STRING, doc, nullable=False)


DECLARED = (
    FeatureView(
        name="session_features",
        version=1,
        topic="webtoon_user_events",
        owner="recommendations",
        doc="How one reader read one episode in one session: its latest visit.",
        entity=(_id("session_id", "The reading session."), _id("episode_id", "The episode.")),
        sessions=WEBTOON_SESSION,
        source=reading,
        redis_key="webtoon_session:{session_id}:{episode_id}",
    ),
    FeatureView(
        name="user_features",
        version=1,
        topic="webtoon_user_events",
        owner="recommendations",
        doc="What one reader read in the last hours and days.",
        entity=(_id("user_id", "The reader."),),
        windows=USER,
        feed=FEEDS["readers"],
        redis_key="webtoon_user:{user_id}",
    ),
    FeatureView(
        name="episode_features",
        version=1,
        topic="webtoon_user_events",
        owner="recommendations",
        doc="How an episode does lately, among all readers.",
        entity=(_id("episode_id", "The episode."),),
        windows=EPISODE,
        board=EPISODE_BOARD,
        feed=FEEDS["episodes"],
        redis_key="episode:{episode_id}",
    ),
    FeatureView(
        name="segment_features",
        version=1,
        topic="webtoon_user_events",
        owner="content",
        doc="How a genre does in a country at an hour of the day, over the last week.",
        entity=(
            _id("country", "Country of the read."),
            _id("genre", "Genre of the episode."),
            Column(
                "hour_of_day",
                ColumnType.INT,
                "Hour of the read's last event, UTC.",
                nullable=False,
            ),
        ),
        windows=SEGMENT,
        feed=FEEDS["segments"],
    ),
    FeatureView(
        name="experiment_features",
        version=1,
        topic="webtoon_user_events",
        owner="content",
        doc="How the groups of a test read.",
        entity=(
            _id("experiment_group", "A/B/C group."),
            _id("ui_version", "User interface; empty where none is said."),
        ),
        windows=EXPERIMENT,
        board=tests_of_exits(),
        feed=FEEDS["experiments"],
    ),
    FeatureView(
        name="commerce_session_features",
        version=1,
        topic="user-events",
        owner="recommendations",
        doc="What happened in one visit of the shop: the latest one of its session.",
        entity=(_id("session_id", "The session that the shop names."),),
        sessions=COMMERCE_SESSION,
        redis_key="commerce_session:{session_id}",
        messages=Messages(
            topic="session-metrics", columns=tuple(c.name for c in COMMERCE_SESSION.columns)
        ),
    ),
    FeatureView(
        name="derived_session_features",
        version=1,
        topic="user-events",
        owner="recommendations",
        doc="A shopper's events without a gap of more than ten minutes.",
        entity=(
            _id("user_id", "The shopper."),
            Column("session_start", ColumnType.TIMESTAMP, "First event time.", nullable=False),
        ),
        sessions=DERIVED_SESSION,
        feed=FEEDS["shoppers"],
        redis_key="session_features:{user_id}:{session_start_epoch_ms}",
        ttl_seconds=3600,
    ),
    FeatureView(
        name="commerce_user_features",
        version=1,
        topic="user-events",
        owner="recommendations",
        doc="What one shopper did in the last minutes, hours and days.",
        entity=(_id("user_id", "The shopper."),),
        windows=COMMERCE_USER,
        feed=FEEDS["shoppers"],
        source=shopping,
        also={"derived_session_features": sessions_of_users, PATTERNS: patterns_of_users},
        redis_key="user_features:{user_id}",
        redis_lists={"recent_product_ids": "user_recent_products:{user_id}"},
    ),
    FeatureView(
        name="product_features",
        version=1,
        topic="user-events",
        owner="recommendations",
        doc="How a product does lately, among all shoppers.",
        entity=(_id("product_id", "The product."),),
        windows=COMMERCE_PRODUCT,
        feed=FEEDS["products"],
        redis_key="product:{product_id}",
        messages=Messages(topic="product-popularity", columns=("view_count_5m",)),
    ),
    FeatureView(
        name="commerce_experiment_features",
        version=1,
        topic="user-events",
        owner="recommendations",
        doc="What the sessions of a test group come to.",
        entity=(_id("experiment_group", "A/B/C group."),),
        windows=COMMERCE_EXPERIMENT,
        board=tests_of_sales(),
        feed=FEEDS["groups"],
    ),
)
VIEWS: Mapping[str, FeatureView] = MappingProxyType({view.name: view for view in DECLARED})


def view_named(name: str) -> FeatureView:
    """The view of that name; raises `UnknownName` with the nearest names."""
    try:
        return VIEWS[name]
    except KeyError:
        raise UnknownName("feature view", name, VIEWS) from None


def views_of(topic: str) -> list[str]:
    """The names of the views that are made of this topic."""
    return [view.name for view in VIEWS.values() if view.topic == topic]
