"""The circuit breaker at work: listens to epochs, keeps what it concludes, tells of each change.

An event counts at the commit time of its epoch. So "the last minute" is what reached the views in
it, of a backlog too: what broke an hour ago and is read now spoils the views now; what was broken
and fine again within a backlog is no news. A repeated epoch has the time of its first commit.

An epoch only adds to counts in memory. A thread of its own looks at them, talks to PostgreSQL and
tells of changes, so no outage there can break or delay an epoch. A change is told once it is kept,
and kept with its alert in one transaction: a process that starts again finds it, and is silent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol, Self

import polars as pl
import structlog

from features.breaker import (
    BREACHES,
    FINE,
    LastMinute,
    Limits,
    Minute,
    SourceHealth,
    State,
    judge,
)
from streaming.report import EpochReport

__all__ = ["HealthStore", "HealthStoreAway", "SourceWatch", "Tell"]

LOOK_EVERY_S = 1.0
CLOSE_S = 15.0
Tell = Callable[[SourceHealth], None]
log = structlog.get_logger()


class HealthStoreAway(Exception):
    """The store does not answer, or refuses; says the kind of error, and no value."""


class HealthStore(Protocol):
    """Where the health of sources is kept. Both raise `HealthStoreAway`."""

    def degraded(self) -> Mapping[str, int]:
        """The topics that are degraded, and since when (microseconds)."""

    def put(self, health: SourceHealth, limits: Limits) -> None:
        """Keep it; of a degraded one also the alert. The same one twice has the effect of once."""


class SourceWatch:
    """A listener for the epochs of all jobs; used as a context, it looks by itself.

    `tell` is called once for each change, and must neither wait nor raise.
    """

    def __init__(
        self,
        topics: Iterable[str],
        *,
        limits: Limits,
        store: HealthStore,
        tell: Tell,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._limits = limits
        self._store = store
        self._tell = tell
        self._now_us = now_us
        self._lock = threading.Lock()
        self._minutes = {topic: LastMinute() for topic in topics}
        # Read when the first epoch is there: before, a source only seems to be silent.
        self._states: dict[str, State] = {}
        self._owed: dict[str, SourceHealth] = {}
        self._has_heard = False
        self._is_away = False
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="source-watch", daemon=True)

    def __call__(self, report: EpochReport) -> None:
        """Count an epoch."""
        broken = _broken(report.output.dead)
        with self._lock:
            for topic, seen in report.records.items():
                at_us = report.epoch.committed_at_us
                self._minutes[topic].add(at_us, seen, broken.get(topic, {}))
        self._has_heard = True

    def look(self) -> None:
        """Judge every source as of now; what cannot be kept is tried again by the next look."""
        if not self._has_heard:
            return
        try:
            self._look()
        except HealthStoreAway as error:
            if not self._is_away:
                log.warning("source_health_not_kept", error=str(error), again_in_s=LOOK_EVERY_S)
            self._is_away = True
        else:
            self._is_away = False

    def _look(self) -> None:
        if not self._states:
            known = self._store.degraded()
            self._states = {topic: State(known.get(topic)) for topic in self._minutes}
        for topic, state in self._states.items():
            change = self._owed.get(topic) or self._change(topic, state)
            if change is not None:
                self._keep(change, state)

    def _change(self, topic: str, state: State) -> SourceHealth | None:
        now_us = self._now_us()
        with self._lock:
            minute = self._minutes[topic].until(now_us)
        after = judge(state, minute, now_us=now_us, limits=self._limits)
        if (state.degraded_since_us is None) != (after.degraded_since_us is None):
            return _health(topic, after, minute, now_us)
        self._states[topic] = after
        return None

    def _keep(self, change: SourceHealth, before: State) -> None:
        topic = change.topic
        try:
            self._store.put(change, self._limits)
        except HealthStoreAway:
            if change.is_degraded:
                self._owed[topic] = change
            else:
                # Epochs wait too: that nothing broken was read meanwhile says nothing.
                self._states[topic] = replace(before, calm_since_us=None)
            raise
        self._owed.pop(topic, None)
        self._states[topic] = State(change.since_us) if change.is_degraded else FINE
        log.warning("source_degraded" if change.is_degraded else "source_ok_again", **_said(change))
        self._tell(change)

    def _run(self) -> None:
        while not self._closing.wait(LOOK_EVERY_S):
            self.look()
        self.look()  # at what the last epoch brought

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look a last time; what PostgreSQL does not take in time is left."""
        self._closing.set()
        self._thread.join(CLOSE_S)


def _health(topic: str, state: State, minute: Minute, now_us: int) -> SourceHealth:
    return SourceHealth(
        topic=topic,
        is_degraded=state != FINE,
        since_us=now_us,
        seen=minute.seen,
        share=minute.share,
        reason=minute.reason,
    )


def _said(health: SourceHealth) -> dict[str, Any]:
    share = round(health.share, 3)
    return {"topic": health.topic, "share": share, "seen": health.seen, "reason": health.reason}


def _broken(dead: pl.DataFrame) -> dict[str, dict[str, int]]:
    """How many events broke the contract: topic -> reason code -> events."""
    found: dict[str, dict[str, int]] = {}
    breaches = dead.filter(pl.col("reason_code").is_in(BREACHES))
    for topic, reason, count in breaches.group_by("topic", "reason_code").len().rows():
        found.setdefault(topic, {})[reason] = count
    return found
