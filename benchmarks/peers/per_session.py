"""The sessions with one call of Python for each: what one writes first with applyInPandasWithState.

A peer of the webtoon session job, in the same Spark session, from the same topic. It does less: no
contract is checked, no copy recognised, and a session is never over. It is slow enough to be
measured on the beginning of the log.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.streaming.state import GroupState, GroupStateTimeout

from benchmarks.home import Place
from benchmarks.peers.port import Read, Say
from benchmarks.rates import Progress, as_progress

__all__ = ["PerSession"]

MOST_EVENTS = 200_000
BATCHES = 4
LOOK_EVERY_S = 0.05
EVENT = """
    event_id string, user_id string, session_id string, episode_id string, event_type string,
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
State = tuple[Any, ...]


class PerSession:
    """Runs until enough of the log is read."""

    name = "applyInPandasWithState"

    def __init__(self, place: Place, spark: SparkSession) -> None:
        self._place = place
        self._spark = spark

    def prepare(self, say: Say) -> None:
        """Spark is there."""

    def read(self, topic: str, events: int, epoch: int) -> Read:
        """The first 200,000 events, in four batches; the first starts the workers."""
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
    merged = state.get if state.exists else None
    for events in frames:
        merged = _merged(merged, events)
    if merged is not None:
        state.update(merged)
        yield pd.DataFrame([(*key, *_features(merged))], columns=COLUMNS)


def _merged(before: State | None, events: pd.DataFrame) -> State:
    first = events.loc[events["timestamp"].idxmin()]
    kinds, ratios = events["event_type"], events["scroll_ratio"]
    scrolls = ratios[kinds == "scroll"]
    new: State = (
        *(first[name] for name in OF_FIRST_EVENT),
        int(events["timestamp"].min()),
        int(events["timestamp"].max()),
        int((kinds == "complete").sum()),
        int((kinds == "exit").sum()),
        float(ratios.fillna(0.0).max()),
        float(scrolls.sum()),
        len(scrolls),
        len(events),
    )
    if before is None:
        return new
    at = len(OF_FIRST_EVENT)
    earlier = before if before[at] <= new[at] else new
    largest = max(before[at + 4], new[at + 4])
    sums = [old + more for old, more in zip(before[at + 2 :], new[at + 2 :], strict=True)]
    span = (earlier[at], max(before[at + 1], new[at + 1]))
    return (*earlier[:at], *span, *sums[:2], largest, *sums[3:])


def _features(state: State) -> State:
    at = len(OF_FIRST_EVENT)
    started, ended, completes, exits, max_scroll, scroll_sum, scrolls, count = state[at:]
    return (
        *state[:at],
        completes > 0,
        exits > 0 and not completes,
        1.0 if completes else max_scroll,
        scroll_sum / scrolls if scrolls else None,
        (ended - started) // 1000,
        scrolls,
        count,
        started,
        ended,
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
