"""Wiring of the daily Spark jobs: what was loaded of some days becomes tables below `batch/`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl
import psycopg
from deltalake import DeltaTable
from maxminddb import InvalidDatabaseError
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from features.contracts import CONTRACTS
from infra.database import jdbc_options, pipeline_conninfo, postgres_answers
from infra.endpoints import Endpoints
from infra.errors import DailyJobFailed, SettingsError
from infra.settings import Settings
from infra.streams import spark_session
from streaming.batch.daily import DAILY_JOBS, DailyJob, table_path, write
from streaming.batch.lookups import BUNDLED, Lookups, by_database, by_user_agent
from streaming.batch.raw import loaded_events

__all__ = ["Computed", "run_daily", "run_daily_jobs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """`rows`: table -> how many rows it has of the run date."""

    name: str
    run_date: date
    rows: Mapping[str, int]
    seconds: float

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return {
            "job": self.name,
            "run_date": self.run_date.isoformat(),
            "rows": dict(self.rows),
            "seconds": round(self.seconds, 1),
        }


def run_daily(
    settings: Settings, *, name: str, run_date: date, master: str = "local[2]"
) -> Computed:
    """Run one job in a Spark of its own. Raises `DailyJobFailed` and `ServiceError`."""
    (computed,) = run_daily_jobs(settings, [name], run_date, master=master)
    return computed


def run_daily_jobs(
    settings: Settings, names: list[str], run_date: date, *, master: str = "local[2]"
) -> list[Computed]:
    """Run several, one after the other, in one Spark: its start takes longer than a job."""
    endpoints = Endpoints.read(settings.home)
    jobs = [DAILY_JOBS[name] for name in names]
    lookups = Lookups(device=by_user_agent, place=_places(settings))
    # Spark would find out only after its start, and say it in a hundred lines.
    with postgres_answers(), psycopg.connect(pipeline_conninfo(endpoints.postgres)) as connection:
        connection.execute("SELECT FROM raw.events LIMIT 0")
    spark = spark_session(settings, master, reads_lake=True)
    try:
        return [_run(spark, endpoints, job, run_date, lookups) for job in jobs]
    finally:
        spark.stop()


def _places(settings: Settings) -> by_database:
    """The database of places that is set, else the bundled one, opened once to see that it is."""
    place = by_database(settings.geoip_database or BUNDLED)
    try:
        place("192.0.2.1")
    except (OSError, InvalidDatabaseError) as error:
        raise SettingsError(
            f"{place.file} cannot be read as a database of places ({type(error).__name__}): the "
            "setting geoip_database names a MaxMind database of cities, a file .mmdb."
        ) from error
    return place


def _run(
    spark: SparkSession, endpoints: Endpoints, job: DailyJob, run_date: date, lookups: Lookups
) -> Computed:
    began = time.perf_counter()
    jdbc, contract = jdbc_options(endpoints.postgres), CONTRACTS[job.topic]
    rows = {}
    try:
        events = loaded_events(spark, jdbc, contract, job.first_day(run_date), run_date).cache()
        for table, found in job.compute(events, run_date, lookups).items():
            path = table_path(endpoints.lake, table)
            write(found, path, run_date, job.tables[table])
            rows[table] = _count(path, run_date)
        events.unpersist()
    except (PySparkException, Py4JError) as error:
        line = str(error).partition("\n")[0]
        raise DailyJobFailed(f"{job.name} of {run_date} failed: {line}") from error
    return Computed(
        name=job.name, run_date=run_date, rows=rows, seconds=time.perf_counter() - began
    )


def _count(path: str, run_date: date) -> int:
    """From the table's log: nothing is read again."""
    files = pl.DataFrame(DeltaTable(path).get_add_actions(flatten=True))
    of_day = files.filter(pl.col("partition.run_date") == run_date)
    return int(of_day["num_records"].sum())
