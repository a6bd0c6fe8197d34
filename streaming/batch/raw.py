"""The events of some days, as Spark reads them from `raw.events`: what passed the checks."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows

from features.columns import column_of, spark_type
from features.contract import Contract

__all__ = ["loaded_events"]

TABLE = "raw.events"
DAY = timedelta(days=1)


def loaded_events(
    spark: SparkSession, jdbc: Mapping[str, str], contract: Contract, first: date, last: date
) -> DataFrame:
    """Each event from `first` to `last` once, typed by its contract, with its `event_date`.

    Nothing is loaded before the day that it is of, give or take a clock that is ahead: partitions
    of older run dates are not read. Of copies the one that was loaded first counts.
    """
    fields = [column_of(field) for field in contract.stored_fields]
    schema = ", ".join(f"`{field.name}` {spark_type(field)}" for field in fields)
    rows = spark.read.format("jdbc").options(**jdbc, dbtable=TABLE, fetchsize="10000").load()
    wanted = rows.where(
        (F.col("topic") == contract.topic)
        & (F.col("run_date") >= F.lit(first - DAY))
        & (F.col("event_at") >= F.lit(_midnight(first)))
        & (F.col("event_at") < F.lit(_midnight(last + DAY)))
    )
    earliest = F.min_by(F.struct("event_at", "event"), "run_date").alias("row")
    once = wanted.groupBy("event_id").agg(earliest)
    event = F.from_json("row.event", schema).alias("event")
    parsed = once.select("event_id", "row.event_at", event)
    columns = (F.col("event")[field.name].alias(field.name) for field in fields)
    return parsed.select(
        "event_id", "event_at", F.to_date("event_at").alias("event_date"), *columns
    )


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
