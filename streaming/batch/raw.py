"""The events of some days, as Spark reads them from `raw.events`: what passed the checks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows

from features.columns import column_of, spark_type
from features.contract import Contract

__all__ = ["first_run_date", "loaded_events"]

TABLE = "raw.events"
FETCHED = "10000"
DAY = timedelta(days=1)


def first_run_date(first: date) -> date:
    """The earliest run date that may hold events of `first`: nothing is loaded before the day that
    it is of, give or take a clock that is ahead.
    """
    return first - DAY


def loaded_events(
    spark: SparkSession,
    jdbc: Mapping[str, str],
    contract: Contract,
    run_dates: Sequence[date],
    *,
    first: date,
    last: date,
) -> DataFrame:
    """Each event from `first` to `last` once, typed by its contract, with its `event_date`.

    `run_dates`: those that were loaded since `first_run_date(first)`; each core of Spark reads its
    part of them by a connection of its own. Of copies the one that was loaded first counts.
    """
    fields = [column_of(field) for field in contract.stored_fields]
    schema = ", ".join(f"`{field.name}` {spark_type(field)}" for field in fields)
    wanted = _rows(spark, jdbc, run_dates).where(
        (F.col("topic") == contract.topic)
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


def _rows(spark: SparkSession, jdbc: Mapping[str, str], run_dates: Sequence[date]) -> DataFrame:
    properties = {name: value for name, value in jdbc.items() if name != "url"}
    parts = [*_parts(run_dates, spark.sparkContext.defaultParallelism)]
    return spark.read.jdbc(
        jdbc["url"],
        TABLE,
        predicates=parts or ["false"],
        properties={**properties, "fetchsize": FETCHED},
    )


def _parts(run_dates: Sequence[date], most: int) -> Iterator[str]:
    """Conditions, each of as many days as the others, and no more than `most`."""
    size = -(-len(run_dates) // most)
    for first in range(0, len(run_dates), size or 1):
        days = run_dates[first : first + size]
        yield f"run_date BETWEEN DATE '{days[0]}' AND DATE '{days[-1]}'"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
