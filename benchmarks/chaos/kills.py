"""What is killed, and when: a plan from a seed, and the process that a word of it means.

Every process is found through the stream that was started here or the services of its home, and is
signalled by its id.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from random import Random

import psutil

from infra.stack.stack import SERVICES

__all__ = ["TARGETS", "Kill", "Victim", "driver_of", "jvm_of", "lives", "plan", "victim"]

TARGETS = ("driver", "worker", *SERVICES)
# An epoch of the load takes one to three seconds: any moment of it can be hit.
PAUSE_S = (0.2, 3.0)
DAEMON = "streaming.worker_daemon"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """`after_s`: since the stream recovered from the one before; `which`: 0..1, where there are
    several processes of that name.
    """

    number: int
    target: str
    after_s: float
    which: float


@dataclass(frozen=True, slots=True)
class Victim:
    """A process and what it is."""

    pid: int
    what: str

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)


def plan(kills: int, seed: int) -> list[Kill]:
    """Every target once, in any order, then again; fewer kills are the first ones of more."""
    rng = Random(f"chaos:{seed}")  # noqa: S311 - no cryptography
    found: list[Kill] = []
    while len(found) < kills:
        for target in rng.sample(TARGETS, len(TARGETS)):
            after_s, which = round(rng.uniform(*PAUSE_S), 2), round(rng.random(), 3)
            number = len(found) + 1
            found.append(Kill(number=number, target=target, after_s=after_s, which=which))
    return found[:kills]


def victim(kill: Kill, driver: int, services: Mapping[str, int | None]) -> Victim | None:
    """The process that is meant; None while there is none. A driver is two: Python and its JVM."""
    if kill.target in services:
        pid = services[kill.target]
        return None if pid is None else Victim(pid, kill.target)
    if kill.target == "driver":
        jvm = jvm_of(driver)
        of_jvm = jvm is not None and kill.which >= 0.5  # noqa: PLR2004
        return Victim(jvm.pid, "driver's JVM") if of_jvm and jvm else Victim(driver, "driver")
    workers = sorted(_workers(driver))
    return Victim(workers[int(kill.which * len(workers))], "worker") if workers else None


def driver_of(supervisor: int) -> int | None:
    """The process that `userflow stream --supervise` has started; None between two of them."""
    with suppress(psutil.Error):
        return next((child.pid for child in psutil.Process(supervisor).children()), None)
    return None


def jvm_of(driver: int) -> psutil.Process | None:
    """The JVM that Python has started."""
    with suppress(psutil.Error):
        for child in psutil.Process(driver).children():
            if child.name() == "java":
                return child
    return None


def _workers(driver: int) -> Iterator[int]:
    """What the daemon of Spark's Python workers has forked: the same program, below itself."""
    jvm = jvm_of(driver)
    below = [] if jvm is None else _below(jvm)
    daemons = {process.pid for process in below if _is_daemon(process)}
    for process in below:
        with suppress(psutil.Error):
            if process.pid in daemons and process.ppid() in daemons:
                yield process.pid


def _below(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return list(process.children(recursive=True))
    return []


def _is_daemon(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return any(DAEMON in word for word in process.cmdline())
    return False


def lives(process: psutil.Process) -> bool:
    """Whether it still runs."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
