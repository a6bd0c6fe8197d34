"""`userflow bench sessions` and `catalogue`: events/s of a job, to a no-op sink and to all stores.

Everything runs on this machine at once: broker, Spark and stores share its cores. The log is
written before the clock starts. The first epoch is left out of the steady rate: it starts Python
workers and the state store.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pyspark.sql import SparkSession

from infra.endpoints import Endpoints
from infra.settings import Settings
from infra.streams import OpenStores, Stores, all_stores, run_jobs
from producer.run import run
from producer.sent import Sent
from producer.simulate import Simulation, simulate
from producer.sinks.kafka import KafkaSink
from streaming.epochs import EpochRunner
from streaming.jobs import JOBS
from streaming.sinks.memory import ClockStore

__all__ = ["SUBJECTS", "Figure", "Subject", "measure", "write_log"]

EVENTS_PER_SECOND_OF_LOG = 2500
START_US = 1_790_000_000_000_000
BATCH = 1000
STEAL = 7  # its place in a line of /proc/stat
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured: a job, reading the log of simulated users of the domain of its name."""

    job: str
    users: int


SUBJECTS = {
    "sessions": Subject(job="webtoon", users=50_000),
    "catalogue": Subject(job="commerce", users=50_000),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured path. `steady` leaves out the first epoch, `overall` nothing. `rows` are changed
    feature rows, `stages` the seconds spent in each. `stolen` is the share of the machine's CPU
    time that its host gave to others: 0 on a quiet one.
    """

    path: str
    events: int
    rows: int
    epochs: int
    seconds: float
    steady: float
    stages: Mapping[str, float]
    stolen: float

    @property
    def overall(self) -> float:
        """Events/s of the whole run, start of the query included."""
        return self.events / self.seconds


def measure(
    subject: Subject,
    events: int,
    *,
    spark: SparkSession,
    endpoints: Endpoints,
    settings: Settings,
    say: Report,
) -> Sequence[Figure]:
    """Write the log, then read it once for each path."""
    say(f"writing {events:,} events for the job {subject.job} ...")
    write_log(subject, endpoints.kafka, events)
    figures = []
    for path, stores in PATHS.items():
        say(f"measuring {path} ...")
        shutil.rmtree(Path(settings.checkpoint_root), ignore_errors=True)
        run = partial(
            run_jobs,
            [JOBS[subject.job]],
            spark=spark,
            open_stores=stores,
            endpoints=endpoints,
            settings=settings,
            stop=threading.Event(),
            available_now=True,
        )
        figures.append(_figure(path, run))
    return figures


@contextmanager
def no_stores(endpoints: Endpoints) -> Iterator[Stores]:
    """Only the clock is kept."""
    del endpoints
    yield Stores(ClockStore(), [])


PATHS: dict[str, OpenStores] = {
    "Kafka to a no-op sink": no_stores,
    "Kafka to all stores": all_stores,
}


def write_log(subject: Subject, brokers: str, events: int) -> None:
    """Simulated users, two and a half thousand events in a second of event time."""
    simulation = Simulation(
        domain=subject.job,
        rate=EVENTS_PER_SECOND_OF_LOG,
        duration=events / EVENTS_PER_SECOND_OF_LOG,
        users=subject.users,
        seed=1,
        start_us=START_US,
    )
    with KafkaSink(brokers) as sink:
        run(_batches(simulate(simulation)), sink, stopped=threading.Event())


def _batches(records: Iterator[Sent]) -> Iterator[list[Sent]]:
    batch: list[Sent] = []
    for record in records:
        batch.append(record)
        if len(batch) == BATCH:
            yield batch
            batch = []
    yield batch


def _figure(path: str, run: Callable[[], Sequence[EpochRunner]]) -> Figure:
    started, before = time.perf_counter(), cpu_times()
    runner = run()[0]
    seconds = time.perf_counter() - started
    passed = [after - begun for begun, after in zip(before, cpu_times(), strict=True)]
    totals = runner.totals
    return Figure(
        path=path,
        events=totals.events,
        rows=totals.rows,
        epochs=totals.epochs,
        seconds=seconds,
        steady=_steady(runner),
        stages=dict(totals.stages),
        stolen=passed[STEAL] / sum(passed) if sum(passed) else 0.0,
    )


def cpu_times() -> list[int]:
    """Ticks of all cores since boot by kind, as Linux counts them; zeros elsewhere."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return [0] * 8
    return [int(ticks) for ticks in stat.read_text().split("\n", 1)[0].split()[1:9]]


def _steady(runner: EpochRunner) -> float:
    """Events/s between the end of the first epoch and the end of the last that read events."""
    ends = [(at, events) for at, events in runner.totals.timeline if events]
    if len(ends) < 2:  # noqa: PLR2004 - a rate needs two points
        return 0.0
    return sum(events for _, events in ends[1:]) / (ends[-1][0] - ends[0][0])
