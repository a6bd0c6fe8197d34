"""The first stage of a job: every event once, the views of its session, feeds for other keys.

Spark's grouping key is a bucket of session ids. State is kept by session all the same, but Python
is entered once for each bucket. Remembered event ids lie in slots of event time, so that a batch
reads and writes only the slots that its events fall into.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Any

import pandas as pd
import polars as pl
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle

from features.contracts import CONTRACTS
from features.decoding import event_schema
from features.dedup import SEEN, Sifted, sift
from features.dimensions import Dimensions
from features.feeds import Feed, Source
from streaming.decode_stage import key_of_event
from streaming.isolation import Blobs, isolated, reason_of
from streaming.jobs import Job
from streaming.outcome import FEED, WAKE, Outcome, taken
from streaming.packing import bucket_labels, concat, from_blob, sorted_by
from streaming.state.records import Book, Found, Records
from streaming.state.store import State
from streaming.task import watermark_of_task
from streaming.visits import SessionKeeper
from streaming.watermark import HORIZON_US

__all__ = ["BEGINNING", "PLACE", "EventStage", "event_columns"]

SLOT_US = 30 * 1_000_000
BEGINNING = -(1 << 62)
PLACE = ("kafka_partition", "kafka_offset")
PASSED = ("read", "dead")
LATE = "The watermark has passed the event time and its {}."
# The ids seen, by slot of event time.
Slots = dict[int, Book]


class EventStage(StatefulProcessor):
    """The processor of one bucket: sift copies, keep the sessions, feed the views behind."""

    def __init__(self, job: Job, dimensions: Dimensions, buckets: int) -> None:
        """`buckets`: how many the feeds are cut into."""
        # Sent to every task: the job has names only, and what they stand for is there already.
        self.job = job
        self.dimensions = dimensions
        self.buckets = buckets

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Declare the state: it lives as long as the checkpoint."""
        state = self._state = State(handle)
        self.keys = {topic: key_of_event(key) for topic, key in self.job.key_of.items()}
        self.feeds = {feed: self.job.columns_of(feed) for feed in self.job.feeds}
        self._seen = Records(state, ("event_id",), SEEN)
        self._slots = {topic: state.cell(f"{topic} seen", Slots) for topic in self.job.topics}
        self._keepers = [
            (view, SessionKeeper(view.name, view.sessions, state))
            for view in self.job.views_of_events
            if view.sessions is not None
        ]

    def handleInitialState(  # noqa: N802 - Spark's name
        self,
        key: Any,
        initialState: pd.DataFrame,  # noqa: N803
        timerValues: Any,  # noqa: N803
    ) -> None:
        """Begin with what a rebuild made of this bucket: rows (number, blob)."""
        del key, timerValues
        numbers, blobs = initialState["number"], initialState["blob"]
        self._state.begin_with(zip(map(int, numbers), map(bytes, blobs), strict=True))

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
        self.take(blobs, outcome, watermark=watermark_of_task())
        if self.feeds:
            outcome.put(WAKE, b"")
        yield outcome.packed()

    def close(self) -> None:
        """Nothing is held outside the state."""

    def take(self, blobs: Blobs, outcome: Outcome, *, watermark: int | None) -> None:
        """A step; the events of a key that breaks it become dead letters."""
        step = partial(self.step, watermark=watermark)
        isolated(blobs, outcome, step, self.keys, _set_aside)

    def step(self, blobs: Blobs, outcome: Outcome, *, watermark: int | None) -> None:
        """Take the events of each topic, packed; the watermark is that of the epoch."""
        now = BEGINNING if watermark is None else watermark
        with self._state.opened():
            fresh = self._accept(blobs, now, outcome)
            changed = self._sessions(fresh, now, outcome)
        made: dict[tuple[str, Source], pl.DataFrame] = {}
        for feed, columns in self.feeds.items():
            rows = changed.get(feed.of, fresh.get(feed.of))
            if rows is None or rows.is_empty():
                continue
            # Several feeds may be of the same rows, by another key.
            if (feed.of, feed.rows) not in made:
                made[feed.of, feed.rows] = feed.rows(rows, self.dimensions)
            fed = made[feed.of, feed.rows]
            if columns is not None:
                fed = fed.select(name for name in fed.columns if name in columns)
            self._feed(feed, fed, outcome)

    def _accept(self, blobs: Blobs, now: int, outcome: Outcome) -> dict[str, pl.DataFrame]:
        """Sift what came; returns what is new of each topic."""
        fresh: dict[str, pl.DataFrame] = {}
        for topic, parts in blobs.items():
            events = concat(map(from_blob, parts))
            sifted = self._sift(topic, events, now)
            fresh[topic] = sifted.fresh
            outcome.duplicates += sifted.duplicates
            for blob in parts:
                outcome.put(f"events:{topic}", blob)
            self._drop(topic, events, sifted.fresh, outcome)
            outcome.reject(topic, sifted.late, "late", LATE.format("dedup horizon"))
        self._forget(now)
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
            if any(feed.of == view.name for feed in self.feeds):
                changed[view.name] = keeper.changes(stepped)
            late = stepped.step.late
            if any(feed.of == view.topic for feed in self.feeds):
                outcome.limit(view.name, late=late.height)
            elif late.height:  # nobody else takes them
                outcome.reject(view.topic, late, "late", LATE.format("session"))
                self._drop(view.topic, late, late.clear(), outcome)
        return changed

    def _feed(self, feed: Feed, rows: pl.DataFrame, outcome: Outcome) -> None:
        labels = bucket_labels(self.buckets)
        for bucket, blob in sorted_by(rows, rows[feed.key], self.buckets):
            outcome.rows.append((labels[bucket], f"{FEED}{feed.name}", blob))

    def _drop(
        self, topic: str, events: pl.DataFrame, accepted: pl.DataFrame, outcome: Outcome
    ) -> None:
        """Say which events were not accepted: they have been passed on as they came."""
        if events.height > accepted.height:
            dropped = events.select(PLACE).join(accepted.select(PLACE), on=PLACE, how="anti")
            outcome.put_frame(f"dropped:{topic}", dropped)

    def _sift(self, topic: str, events: pl.DataFrame, now: int) -> Sifted:
        """Slot by slot: a copy has the event time of its original, so it falls into its slot."""
        slots = self._slots[topic].get()
        parts = []
        for (slot,), part in (
            events.with_columns(slot=pl.col("event_at") // SLOT_US)
            .partition_by("slot", as_dict=True, include_key=False)
            .items()
        ):
            book = slots.setdefault(int(str(slot)), Book())
            seen = self._seen.find(book, part.select("event_id"))
            sifted = sift(seen.records, part, now - HORIZON_US)
            self._seen.add(book, Found(sifted.fresh.select(*SEEN)))
            parts.append(sifted)
        self._slots[topic].put(slots)
        return Sifted(
            pl.concat([part.fresh for part in parts]),
            pl.concat([part.late for part in parts]),
            sum(part.duplicates for part in parts),
        )

    def _forget(self, now: int) -> None:
        """Drop the slots that lie wholly behind the horizon."""
        keep_from = (now - HORIZON_US) // SLOT_US
        for cell in self._slots.values():
            slots = cell.get()
            if gone := [slot for slot in slots if slot < keep_from]:
                for slot in gone:
                    self._seen.drop(slots.pop(slot))
                cell.put(slots)


@cache
def event_columns(topic: str) -> dict[str, Any]:
    """The schema of a topic's events here: event time is in microseconds."""
    return {**event_schema(CONTRACTS[topic]), "event_at": pl.Int64}


def _set_aside(events: Mapping[str, pl.DataFrame], error: Exception, outcome: Outcome) -> None:
    for topic, part in events.items():
        outcome.reject(topic, part, "step_failed", reason_of(error))
