"""The plan of a job: Kafka -> decode -> events by session -> feeds by entity -> epochs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pyspark.sql import DataFrame
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.streaming.readwriter import DataStreamWriter
from pyspark.sql.streaming.stateful_processor import StatefulProcessor

from features.dimensions import Dimensions
from features.session_set import LIFETIME_US
from streaming.decode_stage import decode_stage
from streaming.entity_stage import EntityStage
from streaming.event_stage import EventStage
from streaming.jobs import Job
from streaming.outcome import OUTPUT
from streaming.packing import PACKED

__all__ = ["Plan", "Seed", "transform"]


@dataclass(frozen=True, slots=True)
class Seed:
    """The state that a new checkpoint begins with, of each stage: (bucket, number, blob). Spark
    takes it in the first batch alone.
    """

    events: DataFrame | None = None
    entities: DataFrame | None = None


def transform(
    records: DataFrame, job: Job, buckets: int, dimensions: Dimensions, seed: Seed
) -> DataFrame:
    """Kafka records to what they change, packed; the same for a stream and for a replay.

    The keyed state of each stage is cut into `buckets`, fixed for the life of a checkpoint: they
    bound the parallelism, and each costs a call in every epoch.
    """
    decode = decode_stage(job.key_of, buckets=buckets, lifetime_us=LIFETIME_US)
    decoded = records.mapInArrow(decode, PACKED)
    packed = _keyed(decoded, EventStage(job, dimensions, buckets), seed.events)
    return _keyed(packed, EntityStage(job, dimensions), seed.entities) if job.feeds else packed


def _keyed(packed: DataFrame, stage: StatefulProcessor, seed: DataFrame | None) -> DataFrame:
    return packed.groupBy("bucket").transformWithStateInPandas(
        statefulProcessor=stage,
        outputStructType=OUTPUT,
        outputMode="Update",
        timeMode="None",
        initialState=None if seed is None else seed.groupBy("bucket"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A job's query, ready to start and to start again."""

    job: Job
    records: DataFrame
    run_epoch: Callable[[DataFrame, int], None]
    checkpoint: str
    buckets: int
    # Pinned when the query starts.
    dimensions: Dimensions
    seed: Seed = field(default_factory=Seed)

    def start(self) -> StreamingQuery:
        """Run until stopped."""
        return self._writer().trigger(processingTime=self.job.pause).start()

    def drain(self) -> StreamingQuery:
        """Run until what is there now has been read."""
        return self._writer().trigger(availableNow=True).start()

    def _writer(self) -> DataStreamWriter:
        # Jobs share the cores fairly: a pool each, inherited by the query's thread.
        context = self.records.sparkSession.sparkContext
        context.setLocalProperty("spark.scheduler.pool", self.job.name)
        return (
            transform(self.records, self.job, self.buckets, self.dimensions, self.seed)
            .writeStream.queryName(self.job.name)
            .outputMode("update")
            .option("checkpointLocation", self.checkpoint)
            .foreachBatch(self.run_epoch)
        )
