"""The jobs: which topics one query reads and which views it keeps.

A topic without a view is still validated, de-duplicated and archived: that needs no code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from features.contracts import CONTRACTS
from features.contracts.sources import SOURCES
from features.errors import UnknownName
from features.feeds import Feed
from features.topics import TICKS
from features.views import VIEWS, FeatureView, as_they_are

__all__ = ["JOBS", "Job", "job_named"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`key_of`: topic -> the field its events are bucketed by; `views`: what it keeps."""

    name: str
    key_of: Mapping[str, str]
    views: tuple[str, ...]

    @property
    def topics(self) -> tuple[str, ...]:
        """The input topics."""
        return tuple(self.key_of)

    @property
    def wakers(self) -> tuple[str, ...]:
        """What runs an epoch when only time passes: without a view nothing is ever due."""
        return (TICKS,) if self.views else ()

    @property
    def pause(self) -> str:
        """The shortest time between two epochs: where nobody waits, others get the cores."""
        return "0 seconds" if self.views else "5 seconds"

    @property
    def views_of_events(self) -> tuple[FeatureView, ...]:
        """The views that see the events themselves, in the buckets that these come in."""
        return tuple(VIEWS[name] for name in self.views if VIEWS[name].feed is None)

    @property
    def views_of_feeds(self) -> tuple[FeatureView, ...]:
        """The views of other keys."""
        return tuple(VIEWS[name] for name in self.views if VIEWS[name].feed is not None)

    @property
    def feeds(self) -> tuple[Feed, ...]:
        """What those are made of, each once."""
        used = {view.feed.name: view.feed for view in self.views_of_feeds if view.feed}
        return tuple(used.values())

    def columns_of(self, feed: Feed) -> frozenset[str] | None:
        """The columns of a feed that its views look at; None where that cannot be told."""
        views = [view for view in self.views_of_feeds if view.feed == feed]
        windows = [view.windows for view in views if view.windows and view.source is as_they_are]
        if feed.watched or len(windows) < len(views):
            return None
        return frozenset({feed.key}).union(*(one.inputs for one in windows))

    def only(self, views: Iterable[str]) -> Job:
        """The same job with fewer views."""
        return replace(self, views=tuple(views))


def _job(name: str, *topics: str) -> Job:
    views = [view for view in VIEWS.values() if view.topic in topics]
    keys = {view.topic: view.key[0] for view in views if view.feed is None}
    return Job(
        name=name,
        # Without a view only copies matter, and those share their id.
        key_of={topic: keys.get(topic, "event_id") for topic in topics},
        views=tuple(view.name for view in views),
    )


JOBS: Mapping[str, Job] = MappingProxyType(
    {
        job.name: job
        for job in (
            _job("webtoon", "webtoon_user_events"),
            _job("commerce", "user-events"),
            _job("sources", *(contract.topic for contract in SOURCES)),
        )
    }
)
assert {topic for job in JOBS.values() for topic in job.topics} == set(CONTRACTS)  # noqa: S101


def job_named(name: str) -> Job:
    """The job of that name; raises `UnknownName` with the nearest names."""
    try:
        return JOBS[name]
    except KeyError:
        raise UnknownName("job", name, JOBS) from None
