"""Wiring of the circuit breaker: the sources of the jobs that run, PostgreSQL, and Slack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from features.breaker import Limits, SourceHealth
from features.views import views_of
from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from infra.settings import Settings
from infra.slack import Message, SlackQueue
from streaming.jobs import Job
from streaming.sinks.source_health import PostgresHealthStore
from streaming.source_watch import SourceWatch

__all__ = ["watched_sources"]


@contextmanager
def watched_sources(
    jobs: Sequence[Job], endpoints: Endpoints, settings: Settings
) -> Iterator[SourceWatch]:
    """A listener for the epochs of these jobs, which raises and clears the alerts."""
    limits = Limits(share=settings.breach_share, least=settings.breach_least)
    store = PostgresHealthStore(pipeline_conninfo(endpoints.postgres))
    topics = [topic for job in jobs for topic in job.topics]
    with (
        SlackQueue(settings.slack_webhook) as slack,
        SourceWatch(
            topics, limits=limits, store=store, tell=lambda one: slack(_message(one, limits))
        ) as watch,
    ):
        yield watch


def _message(health: SourceHealth, limits: Limits) -> Message:
    views = ", ".join(views_of(health.topic)) or "none"
    found = f"{health.share:.1%} of the last minute's {health.seen:,} events break the contract"
    if not health.is_degraded:
        return Message(
            title=f"{health.topic} is fine again",
            what=f"{found}. Views no longer degraded: {views}.",
            look="The rejected events are kept: `userflow dlq list`.",
        )
    return Message(
        title=f"{health.topic} breaks its contract",
        what=f"{found} ({limits.share:.1%} are allowed), most of them with {health.reason}. "
        f"The good ones are processed as always. Degraded views: {views}.",
        look=f"Look at `userflow status` and `userflow dlq list --reason {health.reason}`.",
    )
