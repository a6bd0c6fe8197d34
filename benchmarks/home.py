"""What a benchmark runs in: services, Spark and processes of its own, in a temporary home."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context
from pathlib import Path

from pyspark.sql import SparkSession

from infra.endpoints import Endpoints
from infra.initialise import initialise
from infra.settings import Settings, load_settings
from infra.signals import handled
from infra.stack.stack import Stack
from infra.streams import spark_session

__all__ = ["Place", "Say", "own_process", "running_spark", "temporary_home"]

# Tells the user what goes on.
Say = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Place:
    """A home whose services run; `services` are the process ids of those that are ours."""

    settings: Settings
    endpoints: Endpoints
    services: frozenset[int]


@contextmanager
def temporary_home() -> Iterator[Place]:
    """Kafka, PostgreSQL and Redis, running and initialised; all of it is gone at the end.

    Whatever is set from outside, nothing is read from or written to a service or a store that holds
    somebody's data.
    """
    own = {"lake": "", "checkpoints": "", "kafka": None, "postgres": None, "redis": None}
    with (
        _ending_in_order(),
        tempfile.TemporaryDirectory(prefix="userflow-bench-") as folder,
    ):
        settings = load_settings().model_copy(update={**own, "home": Path(folder) / "home"})
        stack = Stack(settings)
        try:
            endpoints = stack.up()
            initialise(endpoints, settings, stack.credentials)
            pids = (health.pid for health in stack.status().values())
            yield Place(settings, endpoints, frozenset(pid for pid in pids if pid))
        finally:
            stack.down()


@contextmanager
def running_spark(settings: Settings, master: str) -> Iterator[SparkSession]:
    """The session of this process, stopped at the end."""
    spark = spark_session(settings, master)
    try:
        yield spark
    finally:
        spark.stop()


@contextmanager
def own_process() -> Iterator[ProcessPoolExecutor]:
    """A fresh process for one function; nothing is inherited but the environment."""
    with (
        _ending_in_order(),
        ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as pool,
    ):
        yield pool


def _ending_in_order() -> AbstractContextManager[None]:
    """Being asked to end is like Ctrl-C, for the processes that were started too."""

    def interrupt(*_: object) -> None:
        for process in active_children():
            process.terminate()
        raise KeyboardInterrupt

    return handled(interrupt, signal.SIGTERM, signal.SIGHUP)
