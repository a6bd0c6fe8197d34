"""`userflow bench chaos`: kill what a pipeline is made of, under load, and see what is left of it.

The stream is `userflow stream` as a process of its own, with all stores, started again whenever it
ends. After each SIGKILL the service is brought back at once, and the time counts until both jobs
have committed an epoch that began after the kill. At the end everything is read and judged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from statistics import median

import psycopg

from benchmarks.chaos.expected import expect
from benchmarks.chaos.found import known_of, look
from benchmarks.chaos.kafka_log import read
from benchmarks.chaos.kept_stream import KeptStream, run_once, stream_command
from benchmarks.chaos.kills import Kill, Victim, plan, victim
from benchmarks.chaos.load import SPEED, Load
from benchmarks.chaos.oracle import Oracle, naive_oracle
from benchmarks.chaos.verdict import Count, judge
from benchmarks.home import Place, Say, temporary_home
from infra.database import pipeline_conninfo
from infra.errors import ServiceError, StreamFailed
from infra.stack.stack import SERVICES, Stack
from producer.sent import Sent
from streaming.jobs import JOBS

__all__ = ["PROMISED_S", "Campaign", "Killed", "run_campaign"]

PROMISED_S = 30.0
# What has not recovered by then ends the campaign.
PATIENCE_S = 240.0
START_S = 180.0
LOOK_EVERY_S = 0.2
UPS = 5
JOB_NAMES = tuple(SPEED)
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
    """What was killed, and what every place holds at the end."""

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


def run_campaign(kills: int, seed: int, *, master: str, say: Say) -> Campaign:
    """Start everything, kill, bring back, drain, judge."""
    oracle = naive_oracle()  # where it is missing, that is better known now
    with temporary_home() as place:
        home = place.settings.home
        command = stream_command(",".join(JOB_NAMES), "--master", master)
        stack = Stack(place.settings)
        with Load(place.endpoints.kafka, seed) as load, KeptStream(command, home) as stream:
            load.open()
            _until(lambda: epochs(place).keys() == SPEED.keys(), START_S, "read the opening")
            load.start()
            began = time.monotonic()
            killed = []
            for kill in plan(kills, seed):
                time.sleep(kill.after_s)
                killed.append(_kill(kill, place=place, stack=stack, stream=stream, began=began))
                say(_told(killed[-1]))
            load.stop()
            seconds = time.monotonic() - began
            stream.stop()
        say("draining, then comparing ...")
        run_once([*command, "--available-now"], home)
        return Campaign(
            seed=seed,
            events=len(load.sent),
            seconds=round(seconds, 1),
            kills=killed,
            counts=_judge(place, load.sent, oracle),
            orphans=stream.orphans,
        )


def _kill(kill: Kill, *, place: Place, stack: Stack, stream: KeptStream, began: float) -> Killed:
    found, starts = _victim(kill, stack, stream), stream.starts
    look = _Recovery(place, stream)
    at = time.monotonic()
    found.kill()
    if found.what in SERVICES:
        _bring_back(stack)
    _until(look, PATIENCE_S, f"recover from kill {kill.number}, of the {found.what}")
    return Killed(
        number=kill.number,
        what=found.what,
        at_s=round(at - began, 1),
        recovery_s=round(time.monotonic() - at, 1),
        restarts=stream.starts - starts,
    )


class _Recovery:
    """Whether both jobs have committed an epoch that began after the kill.

    In the same process that is the second one from now on: the first may be under way. In a process
    that was started again it is the first, counted from its start.
    """

    def __init__(self, place: Place, stream: KeptStream) -> None:
        self._place = place
        self._stream = stream
        self._starts = stream.starts
        self._wanted = {job: epoch + 2 for job, epoch in epochs(place).items()}

    def __call__(self) -> bool:
        now = epochs(self._place)
        if now and self._stream.starts > self._starts:
            self._starts = self._stream.starts
            self._wanted = {job: epoch + 1 for job, epoch in now.items()}
        return all(now.get(job, -1) >= epoch for job, epoch in self._wanted.items())


def _victim(kill: Kill, stack: Stack, stream: KeptStream) -> Victim:
    """Wait until there is one: a worker may just have ended."""
    found: list[Victim] = []

    def is_there() -> bool:
        services: Mapping[str, int | None] = {}
        if kill.target in SERVICES:
            services = {name: health.pid for name, health in stack.status().items()}
        one = victim(kill, stream.pid, services)
        found.extend([] if one is None else [one])
        return one is not None

    _until(is_there, PATIENCE_S, f"show a {kill.target} to kill")
    return found[-1]


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


def _until(is_so: Callable[[], bool], patience_s: float, what: str) -> None:
    deadline = time.monotonic() + patience_s
    while not is_so():
        if time.monotonic() > deadline:
            raise StreamFailed(f"The stream did not {what} within {patience_s:.0f} s.")
        time.sleep(LOOK_EVERY_S)


def _judge(place: Place, sent: Sequence[Sent], oracle: Oracle) -> list[Count]:
    counts = []
    for job in (JOBS[name] for name in JOB_NAMES):
        (topic,) = job.topics
        records, known = read(place.endpoints.kafka, topic), known_of(job, place.endpoints.postgres)
        expected = expect(job, sent, records, known=known, oracle=oracle)
        counts += judge(job, expected, look(job, place.endpoints))
    return counts


def _told(kill: Killed) -> str:
    return f"{kill.number}: {kill.what} killed at {kill.at_s} s, recovered in {kill.recovery_s} s"
