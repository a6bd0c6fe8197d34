"""Keyed state: what is remembered of every session, on Spark's RocksDB state store.

Spark's grouping key is a bucket of session ids, and its state holds the sessions of the bucket as
columns: a session is still found by its id alone, but Python is entered once for each bucket.
Remembered event ids lie in slots of event time, so that a batch reads and writes only the slots
that its events fall into.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import pandas as pd
import polars as pl
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle

from features import sessions
from features.contracts import CONTRACTS
from features.decoding import event_schema
from features.dedup import SEEN, Sifted, sift
from features.views import VIEWS
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


class KeyedState(StatefulProcessor):
    """The processor of one bucket: sift copies, keep the views, let time pass."""

    def __init__(self, views: Sequence[str], categories: pl.DataFrame) -> None:
        """`views`: names of the views to keep; `categories`: product_id, category."""
        self.views = tuple(views)
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
        meta = self._meta.get()
        next_due, oldest, live = meta if meta is not None else (None, None, 0)
        put_out: list[Packed] = []
        duplicates = late_count = 0
        fresh: dict[str, pl.DataFrame] = {}
        touched: list[int] = []
        for topic, parts in blobs.items():
            events = concat(map(from_blob, parts))
            sifted, slots = self._sift(topic, events, now)
            touched += slots
            duplicates += sifted.duplicates
            late, fresh[topic] = sifted.late, sifted.fresh
            put_out += [(f"events:{topic}", blob) for blob in parts]
            put_out += _dropped(topic, events, sifted.fresh)
            if late.height:
                late_count += late.height
                put_out.append(("dead", to_blob(_late(topic, late, "dedup horizon"))))
        of_sessions = fresh.get(self._session_topic or "")
        due = next_due is not None and next_due < now
        if of_sessions is not None or due:
            changed, next_due, live, refused = self._sessions(of_sessions, now)
            put_out += changed
            late_count += refused
        oldest = self._forget(oldest, touched, now)
        self._meta.update((next_due, oldest, live))
        rows, dues, living = self._windows(fresh, now)
        put_out += rows
        next_due = min((at for at in (next_due, *dues) if at is not None), default=None)
        stats = pl.DataFrame(
            [(duplicates, late_count, next_due, live + living)], STATS, orient="row"
        )
        return [*put_out, ("stats", to_blob(stats))]

    def _windows(
        self, fresh: Mapping[str, pl.DataFrame], now: int
    ) -> tuple[list[Packed], list[int | None], int]:
        """The windowed views; returns their rows, when each is due next, and the living keys."""
        is_exact = is_replay_of_task()
        put_out: list[Packed] = []
        dues: list[int | None] = []
        live = 0
        for view, source, keeper in self._windowed:
            events = fresh.get(view.topic)
            if events is None:
                events = pl.DataFrame(schema=_event_columns(view.topic))
            stepped = keeper.step(source(events, self.categories), now, is_exact=is_exact)
            if stepped.rows.height:
                put_out.append((f"rows:{view.name}", to_blob(stepped.rows)))
            dues.append(stepped.next_due)
            live += stepped.live
        return put_out, dues, live

    def _sessions(
        self, fresh: pl.DataFrame | None, now: int
    ) -> tuple[list[Packed], int | None, int, int]:
        """Time passes first, then the events: an event never meets a visit that is over."""
        stored = self._visits.get()
        visits = pl.DataFrame(schema=sessions.VISIT) if stored is None else from_blob(stored[0])
        visits, closed = sessions.advance(visits, now)
        rows = [closed.with_columns(by_event=pl.lit(value=False))]
        put_out: list[Packed] = []
        refused = 0
        if fresh is not None:
            step = sessions.step(visits, fresh, now)
            visits = step.visits
            rows.append(step.rows.with_columns(by_event=pl.lit(value=True)))
            refused = step.late.height
            topic = str(self._session_topic)
            if refused:
                put_out.append(("dead", to_blob(_late(topic, step.late, "session"))))
                put_out += _dropped(topic, step.late, step.late.clear())
        changed = (
            pl.concat(rows).unique(sessions.KEY, keep="last").with_columns(event_at="ended_at")
        )
        if changed.height:
            put_out.append(("rows:session_features", to_blob(changed)))
        self._visits.update((to_blob(visits),))
        return put_out, sessions.next_due(visits), visits.height, refused

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
