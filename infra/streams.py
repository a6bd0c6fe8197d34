"""Wiring of the streaming jobs: settings and endpoints become sessions, stores and plans."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl
import psycopg
from psycopg import sql
from pyspark.sql import SparkSession

from features.dimensions import EPISODES, PRODUCTS, Dimensions
from infra.checkpoints import Checkpoint, open_checkpoint
from infra.class_archive import class_sharing
from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from infra.jars import spark_jars
from infra.settings import Settings
from infra.stack.probes import probe_kafka, probe_postgres, probe_redis
from infra.stream_status import told
from streaming.checkpoint import checkpoint_id
from streaming.driver import drain, run_until, waker
from streaming.epochs import EpochRunner
from streaming.jobs import Job
from streaming.layout import layout_of
from streaming.outages import Probe, ServiceWatch
from streaming.ports import EpochStore, Sink
from streaming.query import Plan, Seed
from streaming.rebuild import read_seed
from streaming.report import Listener
from streaming.running import Restarted, Running
from streaming.session import SparkOptions, create_session
from streaming.sinks.delta import DeltaSink
from streaming.sinks.postgres import PostgresEpochStore
from streaming.sinks.redis import RedisSink
from streaming.sinks.topics import DeadLetterTopicSink, FeatureTopicSink
from streaming.source import end_offsets, offsets_json, read_kafka

__all__ = ["OpenStores", "Stores", "all_stores", "load_dimensions", "run_jobs", "spark_session"]


@dataclass(frozen=True, slots=True)
class Stores:
    """Where epochs go: the store that decides, and those that follow."""

    epochs: EpochStore
    sinks: Sequence[Sink]


OpenStores = Callable[[Endpoints], AbstractContextManager[Stores]]


def spark_session(
    settings: Settings,
    master: str,
    hive_site: Path | None = None,
    *,
    reads_lake: bool = False,
) -> SparkSession:
    """The session of this process; with `hive_site` it knows tables by name."""
    scratch = settings.home / "spark"
    scratch.mkdir(parents=True, exist_ok=True)
    return create_session(
        SparkOptions(
            jars=spark_jars(),
            master=master,
            driver_memory=settings.driver_memory,
            shuffle_partitions=settings.shuffle_partitions,
            java_options=class_sharing("spark"),
            scratch=scratch,
            log_file=settings.home / "logs" / "spark.log",
            hive_site=hive_site,
            reads_lake=reads_lake,
        )
    )


@contextmanager
def all_stores(endpoints: Endpoints) -> Iterator[Stores]:
    """PostgreSQL, Redis, Delta and the topics; closed at the end."""
    with ExitStack() as stack:
        epochs = PostgresEpochStore(pipeline_conninfo(endpoints.postgres))
        stack.callback(epochs.close)
        sinks: list[Sink] = [
            RedisSink(endpoints.redis),
            DeltaSink(endpoints.lake),
            DeadLetterTopicSink(endpoints.kafka),
            FeatureTopicSink(endpoints.kafka),
        ]
        for sink in sinks:
            stack.callback(sink.close)
        yield Stores(epochs, sinks)


def run_jobs(
    jobs: Sequence[Job],
    *,
    spark: SparkSession,
    open_stores: OpenStores,
    endpoints: Endpoints,
    settings: Settings,
    stop: threading.Event,
    available_now: bool,
    listeners: Sequence[Listener] = (),
    restarted: Restarted = lambda _: None,
) -> Sequence[EpochRunner]:
    """Run jobs until `stop`, or, with `available_now`, until all that is there is processed.

    Each job has stores of its own, and epochs of several run at the same time: `listeners` are
    called from all of them.
    """
    dimensions = load_dimensions(endpoints.postgres)
    most = settings.max_offsets_per_trigger
    process = drain if available_now else run_until
    running = []
    with ExitStack() as stack:
        file = stack.enter_context(told(settings.home, [job.name for job in jobs]))
        watch = stack.enter_context(ServiceWatch(_probes(endpoints), file.away))
        for job in jobs:
            stores = stack.enter_context(open_stores(endpoints))
            stores.epochs.hold(job.name)
            checkpoint = _checkpoint(job, spark, endpoints, settings)
            runner = EpochRunner(
                job,
                store=stores.epochs,
                sinks=stores.sinks,
                end_offsets=end_offsets(endpoints.kafka),
                dimensions=dimensions,
                max_offsets=most,
                is_replay=available_now,
                generation=checkpoint.generation,
                listeners=listeners,
            )
            begin = _begin(job, checkpoint, spark, stores.epochs, endpoints)
            plan = Plan(
                job=job,
                records=read_kafka(
                    spark,
                    endpoints.kafka,
                    job.topics,
                    wakers=job.wakers,
                    max_offsets=most,
                    begin=begin,
                ),
                run_epoch=runner,
                checkpoint=checkpoint.place,
                buckets=settings.buckets,
                dimensions=dimensions,
                seed=read_seed(spark, job, checkpoint.place) if checkpoint.is_seeded else Seed(),
            )
            running.append(Running(plan, runner, watch, _both(file.restarted, restarted)))
        process(stop, running, waker(endpoints.kafka))
    return [one.runner for one in running]


def _both(one: Restarted, other: Restarted) -> Restarted:
    def restarted(job: str) -> None:
        one(job)
        other(job)

    return restarted


def _probes(endpoints: Endpoints) -> dict[str, Probe]:
    return {
        "kafka": partial(probe_kafka, endpoints.kafka),
        "postgres": partial(probe_postgres, endpoints.postgres),
        "redis": partial(probe_redis, endpoints.redis),
    }


def _checkpoint(
    job: Job, spark: SparkSession, endpoints: Endpoints, settings: Settings
) -> Checkpoint:
    layout = layout_of(
        job, buckets=settings.buckets, shuffle_partitions=settings.shuffle_partitions
    )
    with psycopg.connect(pipeline_conninfo(endpoints.postgres)) as connection:
        return open_checkpoint(
            connection,
            job.name,
            layout,
            root=settings.checkpoint_root,
            id_of=partial(checkpoint_id, spark),
        )


def _begin(
    job: Job, checkpoint: Checkpoint, spark: SparkSession, store: EpochStore, endpoints: Endpoints
) -> str:
    """From where on a new checkpoint reads: one that a rebuild made, from its clock on."""
    if not checkpoint.is_seeded:
        return "earliest"
    clock = store.clock_after(job.name, str(checkpoint_id(spark, checkpoint.place)), -1)
    read = {} if clock is None else clock.offsets
    return offsets_json(end_offsets(endpoints.kafka)(job.topics), read)


def load_dimensions(url: str) -> Dimensions:
    """What is known of episodes and products, as of now."""
    with psycopg.connect(pipeline_conninfo(url)) as connection:
        episodes = connection.execute(_select("episodes", EPISODES)).fetchall()
        products = connection.execute(_select("products", PRODUCTS)).fetchall()
    return Dimensions(
        pl.DataFrame(episodes, schema=EPISODES, orient="row"),
        pl.DataFrame(products, schema=PRODUCTS, orient="row"),
    )


def _select(table: str, columns: Iterable[str]) -> sql.Composed:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    return sql.SQL("SELECT {} FROM {}").format(names, sql.Identifier("dim", table))
