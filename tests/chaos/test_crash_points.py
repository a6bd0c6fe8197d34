"""A stream that dies at one exact point of an epoch, and what its next start leaves in the stores.

The quick tests let one stream die at all points, each start healing what the death before left.
The long ones let a stream die at one point only, with a checkpoint, a lake and emptied stores of
its own; the log in Kafka is the same for all. That the tests would notice is a test too: each fence
is taken away, and the point that it is there for has to fail.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import psycopg
import pytest
import redis
from chaos.dying import AFTER, BEFORE, NEVER
from shopping import START, watched
from stacks import running

from benchmarks.chaos.expected import Expected, expect
from benchmarks.chaos.found import OUTPUTS, known_of, look
from benchmarks.chaos.kafka_log import Record, ends, read
from benchmarks.chaos.oracle import naive_oracle
from benchmarks.chaos.verdict import Count, judge
from features.views import VIEWS
from infra.endpoints import Endpoints
from producer.sent import Sent
from producer.simulate import Simulation, simulate
from producer.sinks.kafka import KafkaSink
from streaming.jobs import JOBS

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]
SECOND = 1_000_000
REPOSITORY = Path(__file__).parents[2]
DYING = str(Path(__file__).with_name("dying.py"))
Expiries = Mapping[str, tuple[str, float]]
# Small, so that there are several epochs; as small where one is needed for each point.
MOST = 700
FEW = 250


@dataclass(frozen=True)
class Log:
    """What was sent and where it lies, and the services that every point uses."""

    services: Endpoints
    sent: Sequence[Sent]
    records: Mapping[str, Sequence[Record]]
    expected: dict[tuple[str, int], Expected]


@dataclass(frozen=True)
class Start:
    """A home with nothing in it yet, and where the output topics end before it."""

    home: Path
    endpoints: Endpoints
    begins: Mapping[str, int]


def simulated(domain: str, start_us: int, duration: float, late_rate: float = 0.0) -> list[Sent]:
    simulation = Simulation(
        domain=domain,
        rate=40,
        duration=duration,
        users=60,
        seed=start_us // SECOND % 1000,
        start_us=start_us,
        bad_rate=0.03,
        late_rate=late_rate,
        duplicate_rate=0.05,
        disorder_rate=0.1,
    )
    return list(simulate(simulation))


@pytest.fixture(scope="module")
def log(new_home: Callable[[str], Path]) -> Iterator[Log]:
    """Two parts, forty minutes apart: nothing can be late before the first is read.

    A few readers come half an hour after the second. That closes some of its sessions; the others
    close within seconds, but it takes the wall clock to get there.
    """
    later = START + 2400 * SECOND
    last = later + (30 * 60 + 15) * SECOND
    sent = [one for domain in ("webtoon", "commerce") for one in simulated(domain, START, 40)]
    sent += watched()
    for domain in ("webtoon", "commerce"):
        sent += simulated(domain, later, 20, late_rate=0.01)
    sent += simulated("webtoon", last, 1)
    with running(new_home(".userflow")) as services:
        with KafkaSink(services.kafka) as sink:
            sink.send(sent)
        topics = {one.topic for one in sent}
        yield Log(services, sent, {topic: read(services.kafka, topic) for topic in topics}, {})


@pytest.fixture
def start(log: Log, new_home: Callable[[str], Path]) -> Start:
    home = new_home(".userflow")
    home.mkdir()
    endpoints = replace(log.services, lake=str(home / "lake"))
    endpoints.write(home)
    tables = [f"online.{view}" for view in VIEWS]
    tables += [f"ops.{name}" for name in ("stream_epochs", "stream_watermarks", "dead_letters")]
    with psycopg.connect(endpoints.postgres) as connection:
        connection.execute(f"TRUNCATE {', '.join(tables)}, ops.alerts")
    redis.Redis.from_url(endpoints.redis).flushall()
    places = [ends(endpoints.kafka, topic) for topic in OUTPUTS]
    return Start(home, endpoints, {name: at for found in places for name, at in found.items()})


def run(start: Start, *command: str, most: int = MOST) -> int:
    """Returns the exit code."""
    with (start.home / "stream.log").open("ab") as output:
        return subprocess.run(
            [sys.executable, *command],
            env={
                **os.environ,
                "USERFLOW_HOME": str(start.home),
                "USERFLOW_MAX_OFFSETS_PER_TRIGGER": str(most),
                "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "tests")]),
            },
            stdout=subprocess.DEVNULL,
            stderr=output,
            timeout=280,
            check=False,
        ).returncode


def die_at(start: Start, job: str, point: str, *more: str, most: int = MOST) -> None:
    code = run(start, DYING, job, point, *more, most=most)
    assert code == -signal.SIGKILL, (start.home / "stream.log").read_text()[-3000:]


def finish(start: Start, job: str, without: str | None = None) -> None:
    """The ordinary command; a fence that is taken away is away in the second run too."""
    ordinary = ["-m", "infra", "stream", "--jobs", job, "--available-now"]
    command = [DYING, job, NEVER, "--without", without] if without else ordinary
    code = run(start, *command)
    assert code == 0, (start.home / "stream.log").read_text()[-3000:]


def verdict(log: Log, start: Start, name: str) -> list[Count]:
    job, (topic,) = JOBS[name], JOBS[name].topics
    facts = known_of(job, start.endpoints.postgres)
    at = (name, facts.watermark_us)
    if at not in log.expected:
        records = log.records[topic]
        log.expected[at] = expect(job, log.sent, records, known=facts, oracle=naive_oracle())
    return judge(job, log.expected[at], look(job, start.endpoints, start.begins))


def wrong(counts: Sequence[Count]) -> list[Count]:
    assert all(count.expected for count in counts), "an empty place proves nothing"
    return [count for count in counts if not count.is_right]


def commits(start: Start) -> dict[int, object]:
    with psycopg.connect(start.endpoints.postgres) as connection:
        found = connection.execute("SELECT epoch, committed_at FROM ops.stream_epochs").fetchall()
    return dict(found)


def committed_by_spark(start: Start, job: str) -> set[int]:
    folder = start.home / "checkpoints" / job / "commits"
    return {int(file.name) for file in folder.iterdir() if file.name.isdecimal()}


def uncommit(start: Start, job: str) -> int:
    """What a crash between the last store and Spark's commit leaves."""
    last = max(committed_by_spark(start, job))
    folder = start.home / "checkpoints" / job / "commits"
    for file in (folder / str(last), folder / f".{last}.crc"):
        file.unlink(missing_ok=True)
    return last


def expiries(start: Start) -> dict[str, tuple[str, float]]:
    """By key of Redis: which epoch wrote it, and when it expires (seconds)."""
    client = redis.Redis.from_url(start.endpoints.redis, decode_responses=True)
    hashes = [key for key in client.scan_iter() if client.type(key) == "hash"]
    return {
        key: (client.hget(key, "_version") or "", time.time() + client.pttl(key) / 1000)
        for key in hashes
    }


def renewed(before: Expiries, after: Expiries) -> list[str]:
    """Keys that no later epoch has written, and that live longer all the same."""
    same = {key for key in before.keys() & after.keys() if before[key][0] == after[key][0]}
    assert same
    return [key for key in same if after[key][1] > before[key][1] + 2]


def told_twice(start: Start) -> int:
    """Changes of sessions that say what the one before has said."""
    log = pl.read_delta(f"{start.endpoints.lake}/features/session_features")
    said = log.drop("available_at", "batch_id")
    return said.height - said.n_unique()


# After the topics, which are the last, all stores have the epoch and Spark has not.
POINTS = [BEFORE, AFTER, "after dead-letters", "after redis", "after topics"]


@pytest.mark.slow
def test_a_stream_that_dies_at_every_point_in_turn_leaves_no_trace(log: Log, start: Start) -> None:
    before: dict[int, object] = {}
    for point in POINTS:
        # The newest is what the death before has left, which is healed first.
        newest = max(before, default=-1)
        die_at(start, "commerce", point, "--first", str(max(newest + 1, 1)), most=FEW)
        after = commits(start)
        assert after.items() >= before.items(), f"{point}: the first commit's time stays"
        assert max(after) > newest, f"{point}: it goes on"
        is_ahead = max(after) not in committed_by_spark(start, "commerce")
        assert is_ahead == (point != BEFORE), f"{point}: the epoch is PostgreSQL's, not yet Spark's"
        before = after
    finish(start, "commerce")
    assert commits(start).items() >= before.items()
    assert not wrong(verdict(log, start, "commerce"))
    _forget_the_last_epoch(log, start, "commerce")


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS)
def test_a_stream_that_dies_at_this_point_leaves_no_trace(
    log: Log, start: Start, point: str
) -> None:
    die_at(start, "commerce", point)
    before = commits(start)
    is_ahead = max(before) not in committed_by_spark(start, "commerce")
    assert is_ahead == (point != BEFORE), "the epoch is PostgreSQL's and not yet Spark's"
    finish(start, "commerce")
    assert commits(start).items() >= before.items(), "the first commit's time stays"
    assert not wrong(verdict(log, start, "commerce"))


@pytest.mark.long
def test_an_epoch_that_spark_has_forgotten_changes_nothing(log: Log, start: Start) -> None:
    finish(start, "webtoon")
    _forget_the_last_epoch(log, start, "webtoon")


def _forget_the_last_epoch(log: Log, start: Start, job: str) -> None:
    """After Delta and before Spark's commit log."""
    before, lived = commits(start), expiries(start)
    assert uncommit(start, job) == max(before)
    finish(start, job)
    assert commits(start).items() >= before.items()
    assert not renewed(lived, expiries(start))
    assert not wrong(verdict(log, start, job))


@pytest.mark.slow
def test_what_the_wall_clock_has_decided_is_decided_once(log: Log, start: Start) -> None:
    die_at(start, "webtoon", AFTER, "--live")
    finish(start, "webtoon")
    assert not told_twice(start)
    assert not wrong(verdict(log, start, "webtoon"))


@pytest.mark.long
@pytest.mark.parametrize(
    ("fence", "point"),
    [("claim", AFTER), ("transaction", "after topics"), ("names", "after topics")],
)
def test_without_its_fence_a_point_leaves_traces(
    log: Log, start: Start, fence: str, point: str
) -> None:
    die_at(start, "commerce", point, "--without", fence)
    finish(start, "commerce", without=fence)
    found = wrong(verdict(log, start, "commerce"))
    print(*found, sep="\n")
    assert found


@pytest.mark.long
def test_without_the_guard_a_repeat_lets_keys_live_longer(log: Log, start: Start) -> None:
    finish(start, "webtoon", without="guard")
    lived = expiries(start)
    uncommit(start, "webtoon")
    finish(start, "webtoon", without="guard")
    assert renewed(lived, expiries(start))


@pytest.mark.long
def test_without_the_pin_the_wall_clock_decides_twice(log: Log, start: Start) -> None:
    die_at(start, "webtoon", AFTER, "--live", "--without", "pin")
    finish(start, "webtoon", without="pin")
    assert told_twice(start)
