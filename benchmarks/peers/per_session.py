"""The sessions with one call of Python for each: what one writes first with applyInPandasWithState.

A peer of the webtoon session job, in the same Spark session, from the same topic. It does less: no
contract is checked, no copy recognised, and a session is never over. It is slow enough to be
measured on the beginning of the log.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.streaming.state import GroupState, GroupStateTimeout

from benchmarks.home import Place, Say
from benchmarks.peers.port import Read
from benchmarks.rates import Progress, as_progress

__all__ = ["PerSession"]

# The larger a batch, the more events of a session share one call: a few large ones suit it best.
MOST_EVENTS = 300_000
BATCHES = 3
LOOK_EVERY_S = 0.05
EVENT = """
    user_id string, session_id string, episode_id string, event_type string,
    scroll_ratio double, country string, device string, platform string, timestamp timestamp,
    experiment_group string, ui_version string
"""
OF_FIRST_EVENT = ("user_id", "country", "device", "platform", "experiment_group", "ui_version")
FIRST = ", ".join(f"{name} string" for name in OF_FIRST_EVENT)
STATE = f"""
    {FIRST}, started_at long, ended_at long, completes long, exits long, max_scroll double,
    scroll_sum double, scroll_event_count long, event_count long
"""
ROW = f"""
    session_id string, episode_id string, {FIRST}, is_completed boolean, is_exit_tag boolean,
    completion_rate double, avg_scroll_ratio double, dwell_time_ms long, scroll_event_count long,
    event_count long, started_at long, ended_at long
"""
COLUMNS = [part.split()[0] for part in ROW.split(",")]


class PerSession:
    """Runs until enough of the log is read."""

    name = "applyInPandasWithState"

    def __init__(self, place: Place, spark: SparkSession) -> None:
        self._place = place
        self._spark = spark

    def prepare(self, say: Say) -> None:
        """Spark is there."""

    def read(self, topic: str, events: int, epoch: int) -> Read:
        """The first 300,000 events, in three batches; the first starts the workers."""
        wanted = min(MOST_EVENTS, events)
        batch = min(epoch, wanted // BATCHES)
        checkpoint = self._place.settings.home / "per-session"
        began = time.perf_counter()
        query = (
            sessions(self._records(topic, batch))
            .writeStream.format("noop")
            .outputMode("update")
            .option("checkpointLocation", str(checkpoint))
            .start()
        )
        try:
            timeline = _until(query, wanted)
        finally:
            query.stop()
            shutil.rmtree(checkpoint, ignore_errors=True)
        return Read([(began, 0), *as_progress(timeline)], warm_up=1)

    def _records(self, topic: str, batch: int) -> DataFrame:
        return (
            self._spark.readStream.format("kafka")
            .option("kafka.bootstrap.servers", self._place.endpoints.kafka)
            .option("subscribe", topic)
            .option("startingOffsets", "earliest")
            .option("maxOffsetsPerTrigger", batch)
            .option("kafka.max.poll.records", 5000)
            .load()
        )


def sessions(records: DataFrame) -> DataFrame:
    """Kafka records to changed sessions."""
    parsed = F.from_json(F.col("value").cast("string"), EVENT)
    events = records.select(parsed.alias("event")).select("event.*")
    timed = events.withColumn("timestamp", F.unix_micros("timestamp"))
    return timed.groupBy("session_id", "episode_id").applyInPandasWithState(
        update, ROW, STATE, "update", GroupStateTimeout.NoTimeout
    )


def update(
    key: tuple[str, str], frames: Iterator[pd.DataFrame], state: GroupState
) -> Iterator[pd.DataFrame]:
    """One session: what it was, what came, what it is now."""
    session = Session(*state.get) if state.exists else None
    for frame in frames:
        # A frame of a few rows is walked faster than it is computed with.
        for event in frame.itertuples(index=False):
            session = _of_first(event) if session is None else session
            _add(session, event)
    if session is not None:
        state.update(astuple(session))
        yield pd.DataFrame([(*key, *_features(session))], columns=COLUMNS)


@dataclass(slots=True)
class Session:
    """The state, in the order of `STATE`."""

    user_id: str
    country: str
    device: str
    platform: str
    experiment_group: str
    ui_version: str
    started_at: int
    ended_at: int
    completes: int = 0
    exits: int = 0
    max_scroll: float = 0.0
    scroll_sum: float = 0.0
    scroll_event_count: int = 0
    event_count: int = 0


def _of_first(event: Any) -> Session:
    of_first = {name: getattr(event, name) for name in OF_FIRST_EVENT}
    return Session(**of_first, started_at=event.timestamp, ended_at=event.timestamp)


def _add(session: Session, event: Any) -> None:
    if event.timestamp < session.started_at:
        session.started_at = event.timestamp
        for name in OF_FIRST_EVENT:
            setattr(session, name, getattr(event, name))
    session.ended_at = max(session.ended_at, event.timestamp)
    session.completes += event.event_type == "complete"
    session.exits += event.event_type == "exit"
    session.event_count += 1
    if not math.isnan(event.scroll_ratio):  # null, in pandas
        session.max_scroll = max(session.max_scroll, event.scroll_ratio)
    if event.event_type == "scroll":
        session.scroll_sum += event.scroll_ratio
        session.scroll_event_count += 1


def _features(session: Session) -> tuple[Any, ...]:
    scrolls = session.scroll_event_count
    return (
        *(getattr(session, name) for name in OF_FIRST_EVENT),
        session.completes > 0,
        session.exits > 0 and not session.completes,
        1.0 if session.completes else session.max_scroll,
        session.scroll_sum / scrolls if scrolls else None,
        (session.ended_at - session.started_at) // 1000,
        scrolls,
        session.event_count,
        session.started_at,
        session.ended_at,
    )


def _until(query: StreamingQuery, wanted: int) -> Progress:
    """(seconds, events) of every batch, as they end, until that many events are read."""
    timeline: list[tuple[float, int]] = []
    seen = -1
    while sum(events for _, events in timeline) < wanted:
        if failure := query.exception():
            raise failure
        for progress in query.recentProgress:
            if progress["batchId"] > seen:
                seen = progress["batchId"]
                timeline.append((time.perf_counter(), progress["numInputRows"]))
        time.sleep(LOOK_EVERY_S)
    return timeline
