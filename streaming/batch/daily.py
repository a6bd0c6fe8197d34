"""The daily jobs, declared once: what each reads, how far back, and the tables that it writes.

They read what was loaded into `raw.events`, so they see the events that passed the checks, from
files and from the archive alike, as the marts do.

A table of a job has one partition for each day that was computed, and a run replaces that of its
day in one commit of Delta: a repeat leaves the same rows, and readers see the old or the new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows

from streaming.batch.behavior import user_segments
from streaming.batch.events import process_events
from streaming.batch.lookups import Lookups
from streaming.batch.recommendation import recommendation_features
from streaming.batch.transactions import aggregate_transactions

__all__ = ["DAILY_JOBS", "LOOK_BACK_DAYS", "DailyJob", "table_path", "write"]

LOOK_BACK_DAYS = 30
Compute = Callable[[DataFrame, date, Lookups], Mapping[str, DataFrame]]


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyJob:
    """`days`: how many days of events of `topic`, the run date the last, it reads.

    `tables`: what it writes below `batch/`, each with the columns that it is partitioned by beside
    the run date.
    """

    name: str
    doc: str
    topic: str
    tables: Mapping[str, tuple[str, ...]]
    compute: Compute
    days: int = 1

    def first_day(self, run_date: date) -> date:
        """The earliest that it reads."""
        return run_date - timedelta(days=self.days - 1)


DAILY_JOBS = {
    job.name: job
    for job in (
        DailyJob(
            name="process_daily_events",
            doc="The day's events with device and place, and what they say of sessions and users.",
            topic="user-events",
            tables={
                "processed_events": ("event_hour",),
                "session_metrics": (),
                "user_daily_metrics": (),
                "product_metrics": (),
                "quality_metrics": (),
            },
            compute=process_events,
        ),
        DailyJob(
            name="aggregate_transactions",
            doc="The day's payments by currency, method and status, and what was sold.",
            topic="transactions",
            tables={"transaction_totals": (), "transaction_products": ()},
            compute=aggregate_transactions,
        ),
        DailyJob(
            name="user_segments",
            doc="Every user of 30 days: one of five segments, habits, the risk of staying away.",
            topic="user-events",
            tables={"user_segments": (), "user_behavior_features": ()},
            compute=user_segments,
            days=LOOK_BACK_DAYS,
        ),
        DailyJob(
            name="recommendation_features",
            doc="What users did with products in 30 days, and which products go together.",
            topic="user-events",
            tables={
                "user_product_features": (),
                "user_recommendation_features": (),
                "related_products": (),
            },
            compute=recommendation_features,
            days=LOOK_BACK_DAYS,
        ),
    )
}


def table_path(lake: str, name: str) -> str:
    """Where a table of a daily job is."""
    return f"{lake}/batch/{name}"


def write(rows: DataFrame, path: str, run_date: date, partition_by: tuple[str, ...]) -> None:
    """Put `rows` in place of the run date's partition; a new column is added to the table."""
    (
        rows.withColumn("run_date", F.lit(run_date))
        .write.format("delta")
        .mode("overwrite")
        .option("replaceWhere", f"run_date = DATE'{run_date.isoformat()}'")
        .option("mergeSchema", "true")
        .partitionBy("run_date", *partition_by)
        .save(path)
    )
