"""The first stage of a job: every event once, the views of its session, feeds for other keys.

Spark's grouping key is a bucket of session ids. State is kept by session all the same, but Python
is entered once for each bucket. Remembered event ids lie in slots of event time, so that a batch
reads and writes only the slots that its events fall into.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import msgspec
import pandas as pd
import polars as pl
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle

from features.contracts import CONTRACTS
from features.decoding import event_schema
from features.dedup import SEEN, Sifted, sift
from features.dimensions import Dimensions
from features.feeds import Feed
from streaming.jobs import Job
from streaming.one_map import OneMap
from streaming.outcome import FEED, WAKE, Outcome, taken
from streaming.packing import bucket_labels, concat, from_blob, sorted_by, to_blob
from streaming.task import watermark_of_task
from streaming.visits import SessionKeeper
from streaming.watermark import HORIZON_US

__all__ = ["BEGINNING", "PLACE", "EventStage", "event_columns"]

SLOT_US = 30 * 1_000_000
BEGINNING = -(1 << 62)
PLACE = ("kafka_partition", "kafka_offset")
PASSED = ("read", "dead")


class EventStage(StatefulProcessor):
    """The processor of one bucket: sift copies, keep the sessions, feed the views behind."""

    def __init__(self, job: Job, dimensions: Dimensions, buckets: int) -> None:
        """`buckets`: how many the feeds are cut into."""
        self.topics = job.topics
        self.views = job.views_of_events
        self.feeds = job.feeds
        self.dimensions = dimensions
        self.buckets = buckets

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Declare the state: it lives as long as the checkpoint."""
        state = OneMap(handle)
        self._seen = {topic: state.part(f"seen_{topic}") for topic in self.topics}
        self._slots = state.cell("seen_slots")
        self._keepers = [
            (view, SessionKeeper(view.name, view.sessions, state))
            for view in self.views
            if view.sessions is not None
        ]

    def handleInputRows(  # noqa: N802 - Spark's name
        self,
        key: Any,
        rows: Iterator[pd.DataFrame],
        timerValues: Any,  # noqa: N803
    ) -> Iterator[pd.DataFrame]:
        """Merge what one batch brought for this bucket; put out what changed."""
        del timerValues
        outcome = Outcome(int(key[0]))
        blobs = taken(rows, outcome, passes=lambda kind: kind in PASSED)
        self.step(blobs, watermark_of_task(), outcome)
        if self.feeds:
            outcome.put(WAKE, b"")
        yield outcome.packed()

    def close(self) -> None:
        """Nothing is held outside the state."""

    def step(self, blobs: dict[str, list[bytes]], watermark: int | None, outcome: Outcome) -> None:
        """Take the events of each topic, packed; the watermark is that of the epoch."""
        now = BEGINNING if watermark is None else watermark
        fresh = self._accept(blobs, now, outcome)
        changed = self._sessions(fresh, now, outcome)
        for feed in self.feeds:
            rows = changed.get(feed.of, fresh.get(feed.of))
            if rows is not None and rows.height:
                self._feed(feed, rows, outcome)

    def _accept(
        self, blobs: dict[str, list[bytes]], now: int, outcome: Outcome
    ) -> dict[str, pl.DataFrame]:
        """Sift what came; returns what is new of each topic."""
        fresh: dict[str, pl.DataFrame] = {}
        touched: dict[str, list[int]] = {}
        for topic, parts in blobs.items():
            events = concat(map(from_blob, parts))
            sifted, touched[topic] = self._sift(topic, events, now)
            fresh[topic] = sifted.fresh
            outcome.duplicates += sifted.duplicates
            for blob in parts:
                outcome.put(f"events:{topic}", blob)
            self._drop(topic, events, sifted.fresh, outcome)
            outcome.reject(topic, sifted.late, "dedup horizon")
        self._forget(touched, now)
        return fresh

    def _sessions(
        self, fresh: dict[str, pl.DataFrame], now: int, outcome: Outcome
    ) -> dict[str, pl.DataFrame]:
        """Keep the views of sessions; returns which visits of each changed."""
        changed = {}
        for view, keeper in self._keepers:
            events = fresh.get(view.topic)
            if events is None:
                events = pl.DataFrame(schema=event_columns(view.topic))
            stepped = keeper.step(view.source(events, self.dimensions), now)
            outcome.put_frame(f"rows:{view.name}", stepped.rows)
            outcome.note(stepped.next_due, stepped.live)
            changed[view.name] = stepped.changes
            if any(feed.of == view.topic for feed in self.feeds):
                outcome.limit(view.name, late=stepped.late.height)
            elif stepped.late.height:  # nobody else takes them
                outcome.reject(view.topic, stepped.late, "session")
                self._drop(view.topic, stepped.late, stepped.late.clear(), outcome)
        return changed

    def _feed(self, feed: Feed, rows: pl.DataFrame, outcome: Outcome) -> None:
        made = feed.rows(rows, self.dimensions)
        labels = bucket_labels(self.buckets)
        for bucket, blob in sorted_by(made, made[feed.key], self.buckets):
            outcome.rows.append((labels[bucket], f"{FEED}{feed.name}", blob))

    def _drop(
        self, topic: str, events: pl.DataFrame, accepted: pl.DataFrame, outcome: Outcome
    ) -> None:
        """Say which events were not accepted: they have been passed on as they came."""
        if events.height > accepted.height:
            dropped = events.select(PLACE).join(accepted.select(PLACE), on=PLACE, how="anti")
            outcome.put_frame(f"dropped:{topic}", dropped)

    def _sift(self, topic: str, events: pl.DataFrame, now: int) -> tuple[Sifted, list[int]]:
        """Slot by slot: a copy has the event time of its original, so it falls into its slot."""
        slots = events.with_columns(slot=pl.col("event_at") // SLOT_US).partition_by(
            "slot", as_dict=True, include_key=False
        )
        parts = []
        remembered, numbers = self._seen[topic], [int(str(slot)) for (slot,) in slots]
        for number, part in zip(numbers, slots.values(), strict=True):
            stored = remembered.get(number)
            seen = pl.DataFrame(schema=SEEN) if stored is None else from_blob(stored)
            sifted = sift(seen, part, now - HORIZON_US)
            parts.append(sifted)
            if sifted.fresh.height:
                seen = pl.concat([seen, sifted.fresh.select(*SEEN)])
                remembered.put(to_blob(seen), number)
        return Sifted(
            pl.concat([part.fresh for part in parts]),
            pl.concat([part.late for part in parts]),
            sum(part.duplicates for part in parts),
        ), numbers

    def _forget(self, touched: Mapping[str, Iterable[int]], now: int) -> None:
        """Drop the slots that lie wholly behind the horizon."""
        stored = self._slots.get()
        known = {} if stored is None else msgspec.msgpack.decode(stored, type=dict[str, set[int]])
        slots = {
            topic: known.get(topic, set()).union(touched.get(topic, ())) for topic in self._seen
        }
        keep_from = (now - HORIZON_US) // SLOT_US
        kept = {topic: {one for one in of if one >= keep_from} for topic, of in slots.items()}
        for topic, of in slots.items():
            for slot in of - kept[topic]:
                self._seen[topic].drop(slot)
        if kept != known:
            self._slots.put(msgspec.msgpack.encode(kept))


@cache
def event_columns(topic: str) -> dict[str, Any]:
    """The schema of a topic's events here: event time is in microseconds."""
    return {**event_schema(CONTRACTS[topic]), "event_at": pl.Int64}
