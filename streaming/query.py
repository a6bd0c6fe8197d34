"""The plan of a job: Kafka -> decode -> shuffle by bucket -> keyed state -> epochs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
from pyspark.sql import DataFrame
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.streaming.readwriter import DataStreamWriter

from features.sessions import GAP_US
from streaming.decode_stage import decode_stage
from streaming.jobs import Job
from streaming.keyed import OUTPUT, KeyedState
from streaming.packing import PACKED

__all__ = ["Plan", "transform"]

# No accepted event is behind the watermark by less than this and yet late.
LIFETIME_US = GAP_US


def transform(records: DataFrame, job: Job, buckets: int, categories: pl.DataFrame) -> DataFrame:
    """Kafka records to what they change, packed; the same for a stream and for a replay.

    The keyed state is cut into `buckets`, fixed for the life of a checkpoint: they bound the
    parallelism, and each costs a call in every epoch.
    """
    stage = decode_stage(
        job.key_of, job.feeds, buckets=buckets, lifetime_us=LIFETIME_US, categories=categories
    )
    packed = records.mapInArrow(stage, PACKED)
    return packed.groupBy("bucket").transformWithStateInPandas(
        statefulProcessor=KeyedState(job, categories),
        outputStructType=OUTPUT,
        outputMode="Update",
        timeMode="None",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A job's query, ready to start and to start again."""

    job: Job
    records: DataFrame
    run_epoch: Callable[[DataFrame, int], None]
    checkpoint: str
    buckets: int
    # product_id, category: pinned when the query starts
    categories: pl.DataFrame

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
            transform(self.records, self.job, self.buckets, self.categories)
            .writeStream.queryName(self.job.name)
            .outputMode("update")
            .option("checkpointLocation", self.checkpoint)
            .foreachBatch(self.run_epoch)
        )
