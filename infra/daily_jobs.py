"""Wiring of the daily Spark jobs: what was loaded of some days becomes tables below `batch/`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import polars as pl
import psycopg
from deltalake import DeltaTable
from maxminddb import InvalidDatabaseError
from py4j.protocol import Py4JError  # type: ignore[import-untyped]
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession

from features.contracts import CONTRACTS
from infra.catalog import register_computed
from infra.database import jdbc_options, pipeline_conninfo, postgres_answers
from infra.endpoints import Endpoints
from infra.errors import DailyJobFailed, SettingsError
from infra.settings import Settings
from infra.streams import spark_session
from streaming.batch.daily import DAILY_JOBS, DailyJob, table_path, write
from streaming.batch.lookups import BUNDLED, Lookups, by_database, by_user_agent
from streaming.batch.raw import first_run_date, loaded_events

__all__ = ["Computed", "run_daily", "run_daily_jobs"]

RUN_DATES = """
SELECT day::date FROM generate_series(
    %s::date, (SELECT max(run_date) FROM raw.events), interval '1 day') AS day
WHERE EXISTS (SELECT FROM raw.events WHERE run_date = day::date) ORDER BY day"""


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
    first = first_run_date(min(job.first_day(run_date) for job in jobs))
    run_dates = _run_dates(endpoints.postgres, first)
    spark = spark_session(settings, master, reads_lake=True)
    found = []
    try:
        for job in jobs:
            with _sentence(job, run_date):
                events = _events(spark, endpoints, job, run_date, run_dates)
                found.append(_run(events, endpoints.lake, job, run_date, lookups))
    finally:
        spark.stop()
    register_computed(settings, endpoints)
    return found


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


def _run_dates(url: str, first: date) -> list[date]:
    """The loaded ones from `first` on."""
    with postgres_answers(), psycopg.connect(pipeline_conninfo(url)) as connection:
        return [day for (day,) in connection.execute(RUN_DATES, [first])]


def _events(
    spark: SparkSession,
    endpoints: Endpoints,
    job: DailyJob,
    run_date: date,
    run_dates: Sequence[date],
) -> DataFrame:
    """Those of the days that the job reads."""
    first = job.first_day(run_date)
    since = [day for day in run_dates if day >= first_run_date(first)]
    jdbc, contract = jdbc_options(endpoints.postgres), CONTRACTS[job.topic]
    return loaded_events(spark, jdbc, contract, since, first=first, last=run_date)


def _run(events: DataFrame, lake: str, job: DailyJob, run_date: date, lookups: Lookups) -> Computed:
    began = time.perf_counter()
    events.cache()
    rows = {}
    for table, found in job.compute(events, run_date, lookups).items():
        path = table_path(lake, table)
        write(found, path, run_date, job.tables[table])
        rows[table] = _count(path, run_date)
    events.unpersist()
    return Computed(
        name=job.name, run_date=run_date, rows=rows, seconds=time.perf_counter() - began
    )


@contextmanager
def _sentence(job: DailyJob, run_date: date) -> Iterator[None]:
    """What Spark says in a hundred lines as one `DailyJobFailed`."""
    try:
        yield
    except (PySparkException, Py4JError) as error:
        line = str(error).partition("\n")[0]
        raise DailyJobFailed(f"{job.name} of {run_date} failed: {line}") from error


def _count(path: str, run_date: date) -> int:
    """From the table's log: nothing is read again."""
    files = pl.DataFrame(DeltaTable(path).get_add_actions(flatten=True))
    of_day = files.filter(pl.col("partition.run_date") == run_date)
    return int(of_day["num_records"].sum())
