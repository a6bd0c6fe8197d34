"""What the output topics have said lately: the newest of each session, product and alert.

A stream that tries an epoch again sends its messages again, under the same `message_id`: what was
taken once is not taken twice. Everything is bounded, and what was not heard of for the longest time
is forgotten first. Who a shopper is, the messages say and this forgets: nobody needs it here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import msgspec
import polars as pl

__all__ = ["ALERTS", "PRODUCTS", "SESSIONS", "TOPICS", "Heard", "Messages"]

MOST_SESSIONS = 50_000
MOST_PRODUCTS = 20_000
MOST_ALERTS = 1_000
MOST_IDS = 100_000

TIME = pl.Datetime("us", "UTC")
SESSIONS: dict[str, Any] = {
    "session_id": pl.String,
    "start_time": TIME,
    "end_time": TIME,
    "duration_ms": pl.Int64,
    "page_views": pl.Int64,
    "has_conversion": pl.Boolean,
}
PRODUCTS: dict[str, Any] = {"product_id": pl.String, "view_count_5m": pl.Int64, "event_at": TIME}
ALERTS: dict[str, Any] = {
    "event_id": pl.String,
    "alert_type": pl.String,
    "severity": pl.String,
    "reason": pl.String,
    "value": pl.Float64,
    "threshold": pl.Float64,
    "event_at": TIME,
}


class Session(msgspec.Struct, frozen=True, kw_only=True):
    message_id: str
    session_id: str
    start_time: datetime
    end_time: datetime
    duration_ms: int
    page_views: int
    has_conversion: bool


class Product(msgspec.Struct, frozen=True, kw_only=True):
    message_id: str
    product_id: str
    view_count_5m: int
    event_at: datetime


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    message_id: str
    event_id: str
    alert_type: str
    severity: str
    reason: str
    value: float | None
    threshold: float | None
    event_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """`key`: of which only the newest message is kept, `most` of them."""

    decoder: msgspec.json.Decoder[Any]
    schema: Mapping[str, Any]
    key: Callable[[Any], object]
    most: int


TOPICS: Mapping[str, Kind] = {
    "session-metrics": Kind(
        decoder=msgspec.json.Decoder(Session),
        schema=SESSIONS,
        key=lambda one: one.session_id,
        most=MOST_SESSIONS,
    ),
    "product-popularity": Kind(
        decoder=msgspec.json.Decoder(Product),
        schema=PRODUCTS,
        key=lambda one: one.product_id,
        most=MOST_PRODUCTS,
    ),
    "alerts": Kind(
        decoder=msgspec.json.Decoder(Alert),
        schema=ALERTS,
        key=lambda one: (one.event_id, one.alert_type),
        most=MOST_ALERTS,
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Frames of what is kept, by the schemas above. `repeated`: messages that came again;
    `unreadable`: those that are not what their topic should carry.
    """

    sessions: pl.DataFrame
    products: pl.DataFrame
    alerts: pl.DataFrame
    repeated: int = 0
    unreadable: int = 0


class Messages:
    """One thread takes messages, any may ask what was heard."""

    def __init__(self, kinds: Mapping[str, Kind] = TOPICS, *, most_ids: int = MOST_IDS) -> None:
        self._kinds = kinds
        self._most_ids = most_ids
        self._lock = threading.Lock()
        self._kept: dict[str, dict[object, Any]] = {topic: {} for topic in kinds}
        self._frames: dict[str, pl.DataFrame] = {}
        # Hashes, as an id is longer than what it names; the oldest are the first.
        self._seen: dict[int, None] = {}
        self._repeated = self._unreadable = 0

    def take(self, topic: str, value: bytes | None) -> None:
        """Keep what the message says; what cannot be read is counted."""
        kind = self._kinds[topic]
        try:
            said = kind.decoder.decode(value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            with self._lock:
                self._unreadable += 1
            return
        with self._lock:
            self._keep(topic, kind, said)

    def _keep(self, topic: str, kind: Kind, said: Any) -> None:
        if self._is_known(topic, said.message_id):
            self._repeated += 1
            return
        kept = self._kept[topic]
        key = kind.key(said)
        kept.pop(key, None)  # to the end: it was heard of just now
        kept[key] = said
        if len(kept) > kind.most:
            del kept[next(iter(kept))]
        self._frames.pop(topic, None)

    def _is_known(self, topic: str, message_id: str) -> bool:
        name = hash((topic, message_id))
        if name in self._seen:
            return True
        self._seen[name] = None
        if len(self._seen) > self._most_ids:
            for old in list(islice(self._seen, self._most_ids // 10)):
                del self._seen[old]
        return False

    def heard(self) -> Heard:
        """What is kept now."""
        with self._lock:
            return Heard(
                sessions=self._frame("session-metrics"),
                products=self._frame("product-popularity"),
                alerts=self._frame("alerts"),
                repeated=self._repeated,
                unreadable=self._unreadable,
            )

    def _frame(self, topic: str) -> pl.DataFrame:
        if topic not in self._frames:
            self._frames[topic] = _frame(self._kinds[topic].schema, self._kept[topic].values())
        return self._frames[topic]


def _frame(schema: Mapping[str, Any], kept: Any) -> pl.DataFrame:
    rows = list(kept)
    columns = {
        name: [_utc(getattr(one, name)) for one in rows]
        if kind == TIME
        else [getattr(one, name) for one in rows]
        for name, kind in schema.items()
    }
    return pl.DataFrame(columns, schema=dict(schema))


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
