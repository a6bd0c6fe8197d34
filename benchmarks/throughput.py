"""`userflow bench sessions` and `catalogue`: events/s of a job, to a no-op sink and to all stores,
and of its peers on the same log.

Everything runs on this machine at once: broker, Spark and stores share its cores. The log is
written before the clock starts. The first epoch is left out of the steady rate: it starts Python
workers and the state store, and compiles.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial

from pyspark.sql import SparkSession

from benchmarks.home import Place, Say
from benchmarks.logs import write_log
from benchmarks.machine import cpu_times, stolen
from benchmarks.peers.flink import FlinkSql
from benchmarks.peers.per_session import PerSession
from benchmarks.peers.port import Peer
from benchmarks.rates import as_progress, steady_rate
from infra.endpoints import Endpoints
from infra.settings import Settings
from infra.streams import OpenStores, Stores, all_stores, run_jobs
from streaming.jobs import JOBS, Job
from streaming.sinks.memory import ClockStore

__all__ = ["PEERS", "SUBJECTS", "Figure", "drained", "measure", "ratios"]

NO_OP, ALL = "Kafka to a no-op sink", "Kafka to all stores"
# Of the webtoon job only what the peers do too: sessions.
SUBJECTS: Mapping[str, Job] = {
    "sessions": JOBS["webtoon"].only(["session_features"]),
    "catalogue": JOBS["commerce"],
}
PEERS: Mapping[str, Callable[[Place, SparkSession], Peer]] = {
    "flink": lambda place, _: FlinkSql(place),
    "flink-once": lambda place, _: FlinkSql(place, once=True),
    "pandas": PerSession,
}
# One for the start, the others for the steady rate.
FEWEST_EPOCHS = 4


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured path. `steady` leaves out the first epoch (Flink SQL: as many events), `overall`
    nothing. `rows` are changed feature rows, `stages` the seconds spent in each. `stolen` is the
    share of the machine's CPU time that its host gave to others: 0 on a quiet one.
    """

    path: str
    events: int
    seconds: float
    steady: float
    stolen: float
    epochs: int = 0
    rows: int = 0
    stages: Mapping[str, float] = field(default_factory=dict)

    @property
    def overall(self) -> float:
        """Events/s of the whole run, start of the query included."""
        return self.events / self.seconds

    def to_json(self) -> dict[str, object]:
        """The document that `--json` prints."""
        return {**asdict(self), "overall": self.overall}


def measure(
    subject: str,
    events: int,
    *,
    peers: Sequence[str],
    place: Place,
    spark: SparkSession,
    say: Say,
) -> Sequence[Figure]:
    """Write the log, then read it once for each path and each peer.

    A peer comes right after the path that it is compared with.
    """
    job, epoch = SUBJECTS[subject], epoch_size(place.settings, events)
    settings = place.settings.model_copy(update={"max_offsets_per_trigger": epoch})
    chosen = [PEERS[name](place, spark) for name in peers]
    for peer in chosen:
        peer.prepare(say)
    say(f"writing {events:,} events for the job {job.name} ...")
    write_log(job.name, place.endpoints.kafka, events)
    read = partial(drained, job, spark=spark, place=place, settings=settings)
    say(f"measuring {NO_OP} ...")
    figures = [read(NO_OP, stores=no_stores)]
    for peer in chosen:
        say(f"measuring {peer.name} ...")
        figures.append(_of_peer(peer, job.topics[0], events, epoch))
    say(f"measuring {ALL} ...")
    shutil.rmtree(settings.checkpoint_root)  # so that the job begins anew
    figures.append(read(ALL, stores=all_stores))
    return figures


def ratios(figures: Sequence[Figure]) -> dict[str, float]:
    """How many times a peer's steady rate the job reaches, both with a no-op sink."""
    steady = {figure.path: figure.steady for figure in figures}
    ours = steady[NO_OP]
    return {name: ours / rate for name, rate in steady.items() if name not in (NO_OP, ALL) and rate}


def drained(
    job: Job,
    path: str,
    *,
    stores: OpenStores,
    spark: SparkSession,
    place: Place,
    settings: Settings,
) -> Figure:
    """Run the job until it has read what is there."""
    started, before = time.perf_counter(), cpu_times()
    runners = run_jobs(
        [job],
        spark=spark,
        open_stores=stores,
        endpoints=place.endpoints,
        settings=settings,
        stop=threading.Event(),
        available_now=True,
    )
    seconds, totals = time.perf_counter() - started, runners[0].totals
    return Figure(
        path=path,
        events=totals.events,
        seconds=seconds,
        steady=steady_rate(as_progress(totals.timeline), warm_up=1),
        stolen=stolen(before),
        epochs=totals.epochs,
        rows=totals.rows,
        stages=dict(totals.stages),
    )


def epoch_size(settings: Settings, events: int) -> int:
    """As many records in an epoch as set, or fewer, so that there are enough epochs."""
    return min(settings.max_offsets_per_trigger, max(1, events // FEWEST_EPOCHS))


@contextmanager
def no_stores(endpoints: Endpoints) -> Iterator[Stores]:
    """Only the clock is kept."""
    del endpoints
    yield Stores(ClockStore(), [])


def _of_peer(peer: Peer, topic: str, events: int, epoch: int) -> Figure:
    before = cpu_times()
    read = peer.read(topic, events, epoch)
    (begun, _), (ended, events) = read.progress[0], read.progress[-1]
    return Figure(
        path=peer.name,
        events=events,
        seconds=ended - begun,
        steady=steady_rate(read.progress, read.warm_up),
        stolen=stolen(before),
    )
