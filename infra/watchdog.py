"""Looks at the streams from outside, and tells each trouble once, and once more when it is over.

A message that Slack did not take is tried again the next time. While a service is away, what it
would have said is not known, so nothing that was open ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from confluent_kafka import KafkaException

from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from infra.open_troubles import OpenTroubles
from infra.settings import Settings
from infra.slack import Message, post
from infra.stream_status import living_streams
from streaming.jobs import JOBS
from streaming.source import end_offsets

__all__ = ["JobSeen", "Limits", "Seen", "Trouble", "Watched", "look", "troubles", "watch"]

FILE = "watchdog.json"
TIMEOUT_S = 5
RESTARTS = 3
LAST_EPOCHS = """
SELECT DISTINCT ON (job) job, extract(epoch FROM now() - committed_at)::float, clock -> 'offsets'
FROM ops.stream_epochs ORDER BY job, committed_at DESC, epoch DESC"""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSeen:
    """`age_s`: since its last epoch; `lag`: records that no epoch has read; `restarts`: of its
    query by the process that runs it; `is_alive`: whether one of this home does.
    """

    job: str
    age_s: float
    lag: int
    restarts: int
    is_alive: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """`away`: services that did not answer; then `jobs` is what is known in spite of that."""

    jobs: Sequence[JobSeen]
    away: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Beyond which something is a trouble: records, seconds, restarts of one process."""

    lag: int
    silence_s: float
    restarts: int = RESTARTS


@dataclass(frozen=True, slots=True)
class Trouble:
    """`key` is the same for as long as it lasts."""

    key: str
    title: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """The troubles of now, and of them those that began and those that ended since the last look;
    all by key.
    """

    open: tuple[str, ...]
    began: tuple[str, ...]
    ended: tuple[str, ...]
    jobs: tuple[JobSeen, ...]

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return asdict(self)


def watch(settings: Settings) -> Watched:
    """Look at the streams and tell what has changed; raises `StackNotUp`."""
    seen = look(settings)
    limits = Limits(lag=settings.watchdog_lag, silence_s=settings.watchdog_silence)
    now = {trouble.key: trouble for trouble in troubles(seen, limits)}
    known = OpenTroubles(settings.home / FILE)
    before = known.read()
    began = [trouble for key, trouble in now.items() if key not in before]
    ended = [] if seen.away else [key for key in before if key not in now]
    told = {one.key: one.title for one in began if _tell(settings, _begun(one))}
    over = {key for key in ended if _tell(settings, _over(before[key]))}
    known.change(told=told, over=over)
    return Watched(
        open=tuple(now),
        began=tuple(one.key for one in began),
        ended=tuple(ended),
        jobs=tuple(seen.jobs),
    )


def troubles(seen: Seen, limits: Limits) -> Iterator[Trouble]:
    """What is not as it should be."""
    for service in seen.away:
        yield Trouble(service, f"{service} does not answer", "No stream can be judged without it.")
    for one in seen.jobs:
        if one.lag > limits.lag:
            what = f"{one.lag:,} records are unread, {limits.lag:,} are allowed."
            yield Trouble(f"{one.job}/lag", f"Stream {one.job} lags behind", what)
        if one.lag and one.age_s > limits.silence_s:
            runs = "A process runs it." if one.is_alive else "No process of this home runs it."
            what = f"{one.lag:,} records wait, the last epoch was {one.age_s:,.0f} s ago. {runs}"
            yield Trouble(f"{one.job}/silent", f"Stream {one.job} stands still", what)
        if one.restarts >= limits.restarts:
            what = f"Its query was started again {one.restarts} times by the process that runs it."
            yield Trouble(f"{one.job}/restarts", f"Stream {one.job} fails again and again", what)


def look(settings: Settings) -> Seen:
    """Ask PostgreSQL for the last epochs, Kafka for the ends, the processes for their restarts."""
    endpoints = Endpoints.read(settings.home)
    try:
        with psycopg.connect(
            pipeline_conninfo(endpoints.postgres), connect_timeout=TIMEOUT_S
        ) as connection:
            epochs = connection.execute(LAST_EPOCHS).fetchall()
    except psycopg.OperationalError:
        return Seen([], ["PostgreSQL"])
    jobs = [job for job, *_ in epochs if job in JOBS]
    try:
        ends = end_offsets(endpoints.kafka, timeout=TIMEOUT_S)(
            [topic for job in jobs for topic in JOBS[job].topics]
        )
    except KafkaException:
        return Seen([], ["Kafka"])
    streams = living_streams(settings.home)
    return Seen([_job(*row, ends=ends, streams=streams) for row in epochs if row[0] in JOBS])


def _job(
    job: str,
    age_s: float,
    offsets: Mapping[str, int],
    *,
    ends: Mapping[str, int],
    streams: Iterable[Mapping[str, Any]],
) -> JobSeen:
    mine = [one for one in streams if job in one["jobs"]]
    topics = JOBS[job].topics
    return JobSeen(
        job=job,
        age_s=age_s,
        lag=sum(
            max(0, end - offsets.get(place, 0))
            for place, end in ends.items()
            if place.rpartition("/")[0] in topics
        ),
        restarts=max((one["restarts"].get(job, 0) for one in mine), default=0),
        is_alive=bool(mine),
    )


def _tell(settings: Settings, message: Message) -> bool:
    """Whether it was told; without a webhook the log has it, and that is enough."""
    return post(settings.slack_webhook, message) or settings.slack_webhook is None


def _begun(trouble: Trouble) -> Message:
    look_at = "Look at `userflow status` and at the logs below `logs/` of the home."
    return Message(title=trouble.title, what=trouble.what, look=look_at)


def _over(title: str) -> Message:
    return Message(title=f"Over: {title}", what="It is as it should be again.", look="")
