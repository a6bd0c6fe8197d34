"""One streaming process: a session, the jobs, who listens to them, and their errors as ours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from py4j.protocol import Py4JNetworkError  # type: ignore[import-untyped]
from pyspark.errors import StreamingQueryException

from infra.alarms import watched_sources
from infra.checkpoints import require_layout
from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from infra.errors import CheckpointMismatch, StreamFailed
from infra.settings import Settings
from infra.signals import stopping
from infra.stream_metrics import measured
from infra.streams import all_stores, run_jobs, spark_session
from streaming.epochs import LostEpoch
from streaming.jobs import Job
from streaming.layout import layout_of
from streaming.sinks.lease import LeaseTaken, take

__all__ = ["run_stream"]

# What every call to a JVM that is no more raises.
NO_JVM = (Py4JNetworkError, ConnectionError)


def run_stream(
    jobs: Sequence[Job],
    settings: Settings,
    endpoints: Endpoints,
    *,
    master: str,
    available_now: bool,
) -> list[dict[str, object]]:
    """Run jobs until a signal, or until all that is there is processed; returns their summaries.

    Raises `StreamFailed`.
    """
    with _errors_of_ours(settings.home / "logs" / "spark.log"):
        _look_before_starting(jobs, settings, endpoints)
        spark = spark_session(settings, master)
        try:
            # After Spark's start, which puts a handler of its own on Ctrl-C.
            with (
                stopping() as stop,
                measured(settings, endpoints, jobs) as metrics,
                watched_sources(jobs, endpoints, settings) as watch,
            ):
                runners = run_jobs(
                    jobs,
                    spark=spark,
                    open_stores=all_stores,
                    endpoints=endpoints,
                    settings=settings,
                    stop=stop,
                    available_now=available_now,
                    listeners=[metrics, watch],
                    restarted=metrics.restarted,
                )
        finally:
            with suppress(*NO_JVM):
                spark.stop()
    return [runner.summary() for runner in runners]


def _look_before_starting(jobs: Sequence[Job], settings: Settings, endpoints: Endpoints) -> None:
    """Raises `LeaseTaken` or `CheckpointMismatch` before Spark starts, which takes long; whoever
    opens the stores and the checkpoints asks again.
    """
    with psycopg.connect(pipeline_conninfo(endpoints.postgres), autocommit=True) as connection:
        for job in jobs:
            take(connection, job.name)
            layout = layout_of(
                job, buckets=settings.buckets, shuffle_partitions=settings.shuffle_partitions
            )
            require_layout(connection, job.name, layout)


@contextmanager
def _errors_of_ours(log: Path) -> Iterator[None]:
    goes_on = f"More is in {log}; the next start goes on from the last committed epoch."
    try:
        yield
    except LeaseTaken as error:
        raise StreamFailed(str(error)) from error
    except LostEpoch as error:
        raise CheckpointMismatch(str(error)) from error
    except StreamingQueryException as error:
        reason = str(error).strip().splitlines()[0]
        raise StreamFailed(f"The stream stopped: {reason} {goes_on}") from error
    except psycopg.OperationalError as error:
        raise StreamFailed(
            f"PostgreSQL does not answer ({type(error).__name__}): `userflow status` shows what "
            "runs, `userflow up` starts what does not."
        ) from error
    except NO_JVM as error:
        raise StreamFailed(
            f"The stream stopped: its JVM has ended or been killed. {goes_on}"
        ) from error
