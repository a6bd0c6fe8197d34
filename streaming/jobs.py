"""The jobs: which topics one query reads and which views it keeps.

A topic without a view is still validated, de-duplicated and archived: that needs no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from features.contracts import CONTRACTS
from features.contracts.sources import SOURCES
from features.errors import UnknownName
from features.topics import TICKS
from features.views import VIEWS

__all__ = ["JOBS", "Job", "job_named"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """`key_of`: topic -> the field its events are bucketed by."""

    name: str
    key_of: Mapping[str, str]

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
    def views(self) -> tuple[str, ...]:
        """The feature views that this job keeps."""
        return tuple(view.name for view in VIEWS.values() if view.topic in self.key_of)

    @property
    def feeds(self) -> Mapping[str, tuple[str, ...]]:
        """Topic -> its views by another key: each gets rows of its own, bucketed by that key."""
        views = [VIEWS[name] for name in self.views]
        return {
            topic: tuple(v.name for v in views if v.topic == topic and v.key[0] != key)
            for topic, key in self.key_of.items()
        }


def _job(name: str, *topics: str) -> Job:
    # Without a view only copies matter, and those share their id.
    keys = {view.topic: view.key[0] for view in reversed([*VIEWS.values()])}
    return Job(name=name, key_of={topic: keys.get(topic, "event_id") for topic in topics})


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
