"""Keyed state: what is remembered of every session, on Spark's RocksDB state store.

Spark's grouping key is a bucket of session ids, and its state holds the sessions of the bucket as
columns: a session is still found by its id alone, but Python is entered once for each bucket.
Remembered event ids lie in slots of event time, so that a batch reads and writes only the slots
that its events fall into.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pandas as pd
import polars as pl
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle

from features import sessions
from features.contracts import CONTRACTS
from features.decoding import event_schema
from features.dedup import SEEN, Sifted, sift
from features.views import VIEWS, FeatureView, Source
from streaming.decode_stage import FEED
from streaming.jobs import Job
from streaming.packing import concat, from_blob, to_blob
from streaming.ports import DEAD
from streaming.task import is_replay_of_task, watermark_of_task
from streaming.watermark import HORIZON_US
from streaming.windowed import WindowedKeeper

__all__ = ["OUTPUT", "PLACE", "KeyedState"]

OUTPUT = "kind string, blob binary"
STATS = {
    "duplicates": pl.Int64,
    "late": pl.Int64,
    "next_due": pl.Int64,
    "live_keys": pl.Int64,
}
SLOT_US = 30 * 1_000_000
BEGINNING = -(1 << 62)
PLACE = ("kafka_partition", "kafka_offset")
Packed = tuple[str, bytes]


@dataclass(slots=True)
class Outcome:
    """What an epoch does in a bucket, as it comes together."""

    put_out: list[Packed] = field(default_factory=list)
    duplicates: int = 0
    late: int = 0
    next_due: int | None = None
    live: int = 0

    def change(self, view: str, rows: pl.DataFrame) -> None:
        """Rows of a view have changed."""
        if rows.height:
            self.put_out.append((f"rows:{view}", to_blob(rows)))

    def refuse(self, topic: str, events: pl.DataFrame, what: str) -> None:
        """Events came after the watermark had passed `what`."""
        if events.height:
            self.late += events.height
            self.put_out.append(("dead", to_blob(_late(topic, events, what))))

    def note(self, next_due: int | None, live: int) -> None:
        """Until when nothing is due, and how many keys live."""
        known = [at for at in (self.next_due, next_due) if at is not None]
        self.next_due = min(known, default=None)
        self.live += live

    def packed(self) -> list[Packed]:
        """Everything, with the counts."""
        stats = [(self.duplicates, self.late, self.next_due, self.live)]
        return [*self.put_out, ("stats", to_blob(pl.DataFrame(stats, STATS, orient="row")))]


class KeyedState(StatefulProcessor):
    """The processor of one bucket: sift copies, keep the views, let time pass."""

    def __init__(self, job: Job, categories: pl.DataFrame) -> None:
        """`categories`: product_id, category."""
        self.views = job.views
        self.fed = {name for names in job.feeds.values() for name in names}
        self.categories = categories

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Declare the state: it lives as long as the checkpoint."""
        self._visits = handle.getValueState("visits", "blob binary")
        self._seen = handle.getMapState("seen", "topic string, slot long", "blob binary")
        self._meta = handle.getValueState("meta", "next_due long, oldest_slot long, live_keys long")
        views = [VIEWS[name] for name in self.views]
        self._session_topic = next((v.topic for v in views if v.windows is None), None)
        self._windowed = [
            (view, view.source, WindowedKeeper(view, view.windows, handle))
            for view in views
            if view.windows is not None and view.source is not None
        ]

    def handleInputRows(  # noqa: N802 - Spark's name
        self,
        key: Any,
        rows: Iterator[pd.DataFrame],
        timerValues: Any,  # noqa: N803
    ) -> Iterator[pd.DataFrame]:
        """Merge what one batch brought for this bucket; put out what changed."""
        del key, timerValues
        packed = [pair for part in rows for pair in zip(part["kind"], part["blob"], strict=True)]
        kinds = {"read", "dead"}
        passed = [(kind, bytes(blob)) for kind, blob in packed if kind in kinds]
        events: dict[str, list[bytes]] = {}
        for kind, blob in packed:
            if kind not in kinds and kind != "wake":
                events.setdefault(kind, []).append(blob)
        put_out = passed + self._step(events, watermark_of_task())
        yield pd.DataFrame(put_out, columns=["kind", "blob"])

    def close(self) -> None:
        """Nothing is held outside the state."""

    def _step(self, blobs: dict[str, list[bytes]], watermark: int | None) -> list[Packed]:
        now = BEGINNING if watermark is None else watermark
        outcome = Outcome()
        next_due, oldest, live = self._meta.get() or (None, None, 0)
        fresh, touched = self._accept(blobs, now, outcome)
        of_sessions = fresh.get(self._session_topic or "")
        if of_sessions is not None or (next_due is not None and next_due < now):
            next_due, live = self._sessions(of_sessions, now, outcome)
        oldest = self._forget(oldest, touched, now)
        self._meta.update((next_due, oldest, live))
        outcome.note(next_due, live)
        self._windows(fresh, now, outcome)
        return outcome.packed()

    def _accept(
        self, blobs: dict[str, list[bytes]], now: int, outcome: Outcome
    ) -> tuple[dict[str, pl.DataFrame], list[int]]:
        """Sift what came; returns what is new, by kind, and the slots of ids it fell into."""
        fresh: dict[str, pl.DataFrame] = {}
        touched: list[int] = []
        for kind, parts in blobs.items():
            events = concat(map(from_blob, parts))
            sifted, slots = self._sift(kind, events, now)
            touched += slots
            fresh[kind] = sifted.fresh
            if kind.startswith(FEED):
                continue  # what becomes of an event is told where the event itself is sifted
            outcome.duplicates += sifted.duplicates
            outcome.put_out += [(f"events:{kind}", blob) for blob in parts]
            outcome.put_out += _dropped(kind, events, sifted.fresh)
            outcome.refuse(kind, sifted.late, "dedup horizon")
        return fresh, touched

    def _sessions(
        self, fresh: pl.DataFrame | None, now: int, outcome: Outcome
    ) -> tuple[int | None, int]:
        """Time passes first, then the events: an event never meets a visit that is over."""
        stored = self._visits.get()
        visits = pl.DataFrame(schema=sessions.VISIT) if stored is None else from_blob(stored[0])
        visits, closed = sessions.advance(visits, now)
        rows = [closed.with_columns(by_event=pl.lit(value=False))]
        if fresh is not None:
            step = sessions.step(visits, fresh, now)
            visits = step.visits
            rows.append(step.rows.with_columns(by_event=pl.lit(value=True)))
            topic = str(self._session_topic)
            outcome.refuse(topic, step.late, "session")
            outcome.put_out += _dropped(topic, step.late, step.late.clear())
        changed = pl.concat(rows).unique(sessions.KEY, keep="last")
        outcome.change("session_features", changed.with_columns(event_at="ended_at"))
        self._visits.update((to_blob(visits),))
        return sessions.next_due(visits), visits.height

    def _windows(self, fresh: Mapping[str, pl.DataFrame], now: int, outcome: Outcome) -> None:
        is_exact = is_replay_of_task()
        for view, source, keeper in self._windowed:
            rows = self._rows_of(view, source, fresh)
            stepped = keeper.step(rows, now, is_exact=is_exact)
            outcome.change(view.name, stepped.rows)
            outcome.note(stepped.next_due, stepped.live)

    def _rows_of(
        self, view: FeatureView, source: Source, fresh: Mapping[str, pl.DataFrame]
    ) -> pl.DataFrame:
        """What is new for a view: made of the events here, or where they were decoded."""
        if view.name in self.fed and (rows := fresh.get(f"{FEED}{view.name}")) is not None:
            return rows
        events = None if view.name in self.fed else fresh.get(view.topic)
        if events is None:
            events = pl.DataFrame(schema=_event_columns(view.topic))
        return source(events, self.categories)

    def _sift(self, topic: str, events: pl.DataFrame, now: int) -> tuple[Sifted, list[int]]:
        """Slot by slot: a copy has the event time of its original, so it falls into its slot."""
        slots = events.with_columns(slot=pl.col("event_at") // SLOT_US).partition_by(
            "slot", as_dict=True, include_key=False
        )
        parts = []
        for (slot,), part in slots.items():
            at = (topic, slot)
            stored = self._seen.getValue(at) if self._seen.containsKey(at) else None
            seen = pl.DataFrame(schema=SEEN) if stored is None else from_blob(stored[0])
            sifted = sift(seen, part, now - HORIZON_US)
            parts.append(sifted)
            if sifted.fresh.height:
                seen = pl.concat([seen, sifted.fresh.select(*SEEN)])
                self._seen.updateValue(at, (to_blob(seen),))
        return Sifted(
            pl.concat([part.fresh for part in parts]),
            pl.concat([part.late for part in parts]),
            sum(part.duplicates for part in parts),
        ), [int(str(slot)) for (slot,) in slots]

    def _forget(self, oldest: int | None, touched: list[int], now: int) -> int | None:
        """Drop the slots that lie wholly behind the horizon; returns the oldest slot kept."""
        oldest = min([*touched, *([] if oldest is None else [oldest])], default=None)
        keep_from = (now - HORIZON_US) // SLOT_US
        if oldest is None or oldest >= keep_from:
            return oldest
        slots = list(self._seen.keys())
        for topic, slot in slots:
            if slot < keep_from:
                self._seen.removeKey((topic, slot))
        return min((slot for _, slot in slots if slot >= keep_from), default=None)


@cache
def _event_columns(topic: str) -> dict[str, Any]:
    """Event time is in microseconds here."""
    return {**event_schema(CONTRACTS[topic]), "event_at": pl.Int64}


def _dropped(topic: str, events: pl.DataFrame, accepted: pl.DataFrame) -> list[Packed]:
    """Where the events lie that were not accepted: events are passed on as they came."""
    if events.height == accepted.height:
        return []
    dropped = events.select(PLACE).join(accepted.select(PLACE), on=PLACE, how="anti")
    return [(f"dropped:{topic}", to_blob(dropped))]


def _late(topic: str, events: pl.DataFrame, what: str) -> pl.DataFrame:
    return events.select(
        topic=pl.lit(topic),
        partition="kafka_partition",
        offset="kafka_offset",
        key=pl.lit(None, pl.Binary),
        payload="raw",
        reason_code=pl.lit("late"),
        reason=pl.lit(f"The watermark has passed the event time and its {what}."),
        contract_version=pl.lit(CONTRACTS[topic].version, pl.Int32),
    ).select(pl.col(name).cast(dtype) for name, dtype in DEAD.items())
