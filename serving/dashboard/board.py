"""What is known now, for any number of pages: read once for all of them, in the background."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from serving.dashboard.kpis import TOP, top_products
from serving.dashboard.messages import TOPICS, Heard, Messages
from serving.dashboard.poller import Poller, Reading
from serving.dashboard.sources import Sources
from serving.dashboard.stored import Stored, connect, read
from serving.dashboard.streams import Freshness, StreamReader
from serving.dashboard.topic_reader import TopicReader, end_offsets, explain_kafka

__all__ = ["Board", "Seen"]

EVERY_S = 3.0
# Frames of many messages take a moment to make, and each page that is open asks.
HEARD_S = 1.0
NOT_INITIALISED = "The tables are not there yet: run `userflow init`."
AWAY = "PostgreSQL does not answer. `userflow status` tells more, `userflow up` starts it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """`now`: when this was put together. `topics`: what is wrong with reading the topics."""

    now: datetime
    heard: Heard
    topics: str | None
    stored: Reading[Stored]
    ends: Reading[Mapping[str, int]]
    freshness: Reading[Mapping[str, Freshness]]


class Board:
    """Starts its threads at once; `stop` ends them."""

    def __init__(self, sources: Sources) -> None:
        self._messages = Messages()
        self._heard = self._messages.heard()
        self._heard_at = time.monotonic()
        self._lock = threading.Lock()
        self._reader = TopicReader(sources.kafka, TOPICS, self._messages.take)
        self._rows = _Rows(sources.postgres, self._messages)
        self._stored = Poller("rows", self._rows.read, explain_postgres, every_s=EVERY_S)
        self._ask_ends = end_offsets(sources.kafka)
        self._ends = Poller("ends", self._read_ends, explain_kafka, every_s=EVERY_S)
        self._streams = StreamReader(sources.streams)
        self._freshness = Poller("streams", self._streams.read, lambda _: None, every_s=EVERY_S)
        for thread in (self._reader, self._stored, self._ends, self._freshness):
            thread.start()

    def look(self) -> Seen:
        """What is known now; asks nobody, so it takes milliseconds."""
        return Seen(
            now=datetime.now(UTC),
            heard=self._heard_lately(),
            topics=self._reader.problem,
            stored=self._stored.last(),
            ends=self._ends.last(),
            freshness=self._freshness.last(),
        )

    def _heard_lately(self) -> Heard:
        with self._lock:
            if time.monotonic() - self._heard_at > HEARD_S:
                self._heard, self._heard_at = self._messages.heard(), time.monotonic()
            return self._heard

    def stop(self) -> None:
        """End the threads."""
        for thread in (self._reader, self._stored, self._ends, self._freshness):
            thread.stop()
        self._rows.close()
        self._streams.close()

    def _read_ends(self) -> Mapping[str, int]:
        stored = self._stored.last().value
        if stored is None:
            return {}
        return self._ask_ends(place for one in stored.progress for place in one.offsets)


class _Rows:
    """A connection that is made again when it was lost."""

    def __init__(self, conninfo: str, messages: Messages) -> None:
        self._conninfo = conninfo
        self._messages = messages
        self._connection: psycopg.Connection[Any] | None = None

    def read(self) -> Stored:
        """Everything that PostgreSQL has for a page."""
        try:
            if self._connection is None:
                self._connection = connect(self._conninfo)
            now = datetime.now(UTC)
            top = top_products(self._messages.heard().products, now, TOP)
            return read(self._connection, as_of=now, products=top["product_id"].to_list())
        except psycopg.Error:
            self.close()
            raise

    def close(self) -> None:
        """Leave nothing open."""
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None


def explain_postgres(error: Exception) -> str | None:
    """A sentence for what may happen to PostgreSQL."""
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        return NOT_INITIALISED
    if isinstance(error, psycopg.errors.QueryCanceled):
        return "PostgreSQL is too busy to answer within two seconds."
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return "The analyst's role may not read the tables: run `userflow init` again."
    return AWAY if isinstance(error, psycopg.Error) else None
