"""`userflow bench chaos`: kill what a pipeline is made of, under load, and see what is left of it.

The stream is `userflow stream --supervise` with all stores. After each SIGKILL a service is brought
back at once, and the time counts until both jobs have committed an epoch that began after the kill.
At the end everything is read and judged.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from statistics import median

import psycopg

from benchmarks.chaos.expected import expect
from benchmarks.chaos.found import known_of, look
from benchmarks.chaos.kafka_log import read
from benchmarks.chaos.kills import Kill, Victim, driver_of, jvm_of, lives, plan, victim
from benchmarks.chaos.load import SPEED, Load
from benchmarks.chaos.oracle import Oracle, naive_oracle
from benchmarks.chaos.verdict import Count, judge
from benchmarks.home import Place, Say, temporary_home
from infra.database import pipeline_conninfo
from infra.demo.child import StreamProcess, streaming
from infra.errors import ServiceError
from infra.stack.stack import SERVICES, Stack
from producer.sent import Sent
from streaming.jobs import JOBS

__all__ = ["PROMISED_S", "Campaign", "Killed", "run_campaign"]

PROMISED_S = 30.0
# What has not recovered by then ends the campaign.
PATIENCE_S = 240.0
START_S = 180.0
UPS = 5
JOB_NAMES = tuple(SPEED)
OWN = {"USERFLOW_LAKE": "", "USERFLOW_CHECKPOINTS": ""}
EPOCHS = "SELECT job, max(epoch) FROM ops.stream_epochs WHERE watermark IS NOT NULL GROUP BY job"


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """`at_s`: since the load began; `recovery_s`: until an epoch that began later was committed;
    `restarts`: how often the stream's process was started again meanwhile.
    """

    number: int
    what: str
    at_s: float
    recovery_s: float
    restarts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """What was killed, and what every place holds at the end. `orphans`: JVMs that outlived the
    recovery of the stream whose driver they belonged to.
    """

    seed: int
    events: int
    seconds: float
    kills: Sequence[Killed]
    counts: Sequence[Count]
    orphans: int

    @property
    def wrong(self) -> Sequence[Count]:
        return [count for count in self.counts if not count.is_right]

    @property
    def slow(self) -> Sequence[Killed]:
        return [kill for kill in self.kills if kill.recovery_s > PROMISED_S]

    @property
    def is_right(self) -> bool:
        return not self.wrong and not self.slow and not self.orphans

    def total(self, what: str) -> int:
        """`lost`, `duplicated`, `different` or `repeats`, over all places."""
        return sum(getattr(count, what) for count in self.counts)

    @property
    def median_s(self) -> float:
        return median(kill.recovery_s for kill in self.kills)

    def to_json(self) -> dict[str, object]:
        """The document that `--json` prints."""
        return {
            **asdict(self),
            "is_right": self.is_right,
            "totals": {name: self.total(name) for name in ("lost", "duplicated", "different")},
        }


def run_campaign(
    kills: int, seed: int, *, master: str, say: Say, within_s: float = math.inf
) -> Campaign:
    """Start everything, kill, bring back, drain, judge. `within_s`: nothing is killed after it."""
    oracle = naive_oracle()  # where it is missing, that is better known now
    options = ("--jobs", ",".join(JOB_NAMES), "--master", master)
    with temporary_home() as place:
        home = place.settings.home
        with (
            Load(place.endpoints.kafka, seed) as load,
            streaming(home, *options, "--supervise", environment=OWN) as stream,
        ):
            load.open()
            is_read = lambda: epochs(place).keys() == SPEED.keys()  # noqa: E731 - said once
            stream.wait(is_read, timeout=START_S, what="read the opening")
            load.start()
            killing = _Killing(place, stream, load, say)
            for kill in plan(kills, seed):
                if killing.seconds > within_s:
                    say(f"time is up after {len(killing.killed)} of {kills} kills")
                    break
                killing.kill(kill)
            load.stop()
            seconds = killing.seconds
            stream.stop()
        say("draining, then comparing ...")
        with streaming(home, *options, "--available-now", environment=OWN) as draining:
            draining.wait_until_done()
        return Campaign(
            seed=seed,
            events=len(load.sent),
            seconds=round(seconds, 1),
            kills=killing.killed,
            counts=_judge(place, load.sent, oracle),
            orphans=killing.orphans,
        )


@dataclass(slots=True)
class _Killing:
    """One kill after the other; `began` on a steady clock."""

    place: Place
    stream: StreamProcess
    load: Load
    say: Say
    began: float = field(default_factory=time.monotonic)
    killed: list[Killed] = field(default_factory=list)
    orphans: int = 0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def kill(self, kill: Kill) -> None:
        """Wait as planned, kill, bring back, wait until the stream has recovered."""
        time.sleep(kill.after_s)
        found, at_s = self._victim(kill), self.seconds
        driver = driver_of(self.stream.process.pid)
        jvm = None if driver is None else jvm_of(driver)
        recovery = _Recovery(self.place, self.stream, driver)
        killed_at = time.monotonic()
        found.kill()
        if found.what in SERVICES:
            _bring_back(Stack(self.place.settings))
        self._wait(recovery, f"recover from kill {kill.number}, of the {found.what}")
        recovery_s = time.monotonic() - killed_at
        self.orphans += bool(recovery.restarts and jvm is not None and lives(jvm))
        self.killed.append(
            Killed(
                number=kill.number,
                what=found.what,
                at_s=round(at_s, 1),
                recovery_s=round(recovery_s, 1),
                restarts=recovery.restarts,
            )
        )
        self.say(f"{kill.number}: {found.what} at {at_s:.1f} s, recovered in {recovery_s:.1f} s")

    def _victim(self, kill: Kill) -> Victim:
        """Wait until there is one: a worker may just have ended."""
        found: list[Victim] = []

        def is_there() -> bool:
            services: Mapping[str, int | None] = {}
            if kill.target in SERVICES:
                status = Stack(self.place.settings).status()
                services = {name: health.pid for name, health in status.items()}
            driver = driver_of(self.stream.process.pid)
            one = None if driver is None else victim(kill, driver, services)
            found.extend([] if one is None else [one])
            return one is not None

        self._wait(is_there, f"show a {kill.target} to kill")
        return found[-1]

    def _wait(self, is_so: Callable[[], bool], what: str) -> None:
        def is_so_under_load() -> bool:
            self.load.check()
            return is_so()

        self.stream.wait(is_so_under_load, timeout=PATIENCE_S, what=what)


class _Recovery:
    """Whether both jobs have committed an epoch that began after the kill.

    In the same process that is the second one from now on: the first may be under way. In a process
    that was started again it is the first, counted from its start.
    """

    def __init__(self, place: Place, stream: StreamProcess, driver: int | None) -> None:
        self.restarts = 0
        self._place = place
        self._stream = stream
        self._driver = driver
        self._wanted = {job: epoch + 2 for job, epoch in epochs(place).items()}

    def __call__(self) -> bool:
        now, driver = epochs(self._place), driver_of(self._stream.process.pid)
        if now and driver not in (None, self._driver):
            self._driver = driver
            self.restarts += 1
            self._wanted = {job: epoch + 1 for job, epoch in now.items()}
        return all(now.get(job, -1) >= epoch for job, epoch in self._wanted.items())


def _bring_back(stack: Stack) -> None:
    for attempt in range(UPS):
        try:
            stack.up()
        except ServiceError:
            if attempt == UPS - 1:
                raise
        else:
            return


def epochs(place: Place) -> dict[str, int]:
    """The newest epoch of each job that has a watermark; nothing while PostgreSQL is away."""
    with (
        suppress(psycopg.OperationalError),
        psycopg.connect(pipeline_conninfo(place.endpoints.postgres), connect_timeout=2) as found,
    ):
        return dict(found.execute(EPOCHS).fetchall())
    return {}


def _judge(place: Place, sent: Sequence[Sent], oracle: Oracle) -> list[Count]:
    counts = []
    for job in (JOBS[name] for name in JOB_NAMES):
        (topic,) = job.topics
        records, known = read(place.endpoints.kafka, topic), known_of(job, place.endpoints.postgres)
        expected = expect(job, sent, records, known=known, oracle=oracle)
        counts += judge(job, expected, look(job, place.endpoints))
    return counts
