"""An alert is raised once and cleared once, whatever starts again or is away in between."""

from __future__ import annotations

import threading
import time

import pytest
from reporting import report
from structlog.testing import capture_logs

from features.breaker import Limits, SourceHealth
from streaming import source_watch
from streaming.sinks.memory import MemoryHealthStore
from streaming.source_watch import SourceWatch

SECOND = 1_000_000
START = 1_790_000_000 * SECOND
TOPIC, OTHER = "user-events", "webtoon_user_events"
BAD = {(TOPIC, "not_json"): 50}


class Scene:
    """A store, a clock, and what was told; `watch` starts the process again."""

    def __init__(self) -> None:
        self.store = MemoryHealthStore()
        self.told: list[SourceHealth] = []
        self.now = START
        self.watch = self.started()

    def started(self) -> SourceWatch:
        return SourceWatch(
            [TOPIC, OTHER],
            limits=Limits(),
            store=self.store,
            tell=self.told.append,
            now_us=lambda: self.now,
        )

    def epoch(self, seen: int, dead: dict[tuple[str, str], int] | None = None) -> None:
        self.watch(report(self.now, {TOPIC: seen}, dead))
        self.watch.look()

    def quiet(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += SECOND
            self.watch.look()

    @property
    def states(self) -> list[bool]:
        return [one.is_degraded for one in self.told]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_too_many_bad_events_are_one_alert_and_their_end_is_one_message(scene: Scene) -> None:
    for _ in range(5):
        scene.epoch(100, BAD)
        scene.quiet(5)
    assert scene.states == [True]
    assert scene.store.rows[TOPIC] == SourceHealth(
        topic=TOPIC, is_degraded=True, since_us=START, seen=100, share=0.5, reason="not_json"
    )
    for _ in range(20):
        scene.epoch(100)
        scene.quiet(5)
    assert scene.states == [True, False]
    assert len(scene.store.alerts) == 1
    assert not scene.store.rows[TOPIC].is_degraded


def test_one_source_says_nothing_about_another(scene: Scene) -> None:
    scene.watch(report(scene.now, {TOPIC: 100, OTHER: 100}, BAD))
    scene.watch.look()
    assert scene.store.rows.keys() == {TOPIC}


def test_late_events_and_what_no_contract_is_broken_by_do_not_count(scene: Scene) -> None:
    scene.epoch(100, {(TOPIC, "late"): 90, (TOPIC, "not_json"): 5})
    assert scene.told == []


def test_events_count_at_the_commit_of_their_epoch(scene: Scene) -> None:
    scene.watch(report(START - 60 * SECOND, {TOPIC: 100}, BAD))  # repeated after a long night
    scene.watch.look()
    assert scene.told == []


def test_a_process_that_starts_again_raises_nothing_twice(scene: Scene) -> None:
    scene.epoch(100, BAD)
    scene.watch = scene.started()
    scene.quiet(300)  # the first epoch takes its time
    for _ in range(3):
        scene.epoch(100, BAD)
        scene.quiet(30)
    assert scene.states == [True]
    assert len(scene.store.alerts) == 1


def test_a_process_that_starts_again_clears_what_is_over(scene: Scene) -> None:
    scene.epoch(100, BAD)
    scene.watch = scene.started()
    scene.epoch(3)
    scene.quiet(59)
    assert scene.states == [True]
    scene.quiet(1)
    assert scene.states == [True, False]
    assert scene.store.rows[TOPIC].since_us == scene.now


def test_an_alert_waits_for_the_store_however_long(scene: Scene) -> None:
    scene.epoch(1)
    scene.store.is_away = True
    with capture_logs() as lines:
        scene.epoch(100, BAD)
        scene.quiet(600)
    assert [line["event"] for line in lines] == ["source_health_not_kept"]
    assert scene.told == []
    scene.store.is_away = False
    scene.quiet(1)
    assert scene.states == [True]
    assert scene.store.rows[TOPIC].since_us == START


def test_an_outage_clears_nothing(scene: Scene) -> None:
    scene.epoch(100, BAD)
    scene.store.is_away = True
    scene.quiet(600)
    scene.store.is_away = False
    scene.quiet(5)  # epochs waited too, and the first one comes now
    scene.epoch(100, BAD)
    scene.quiet(30)
    assert scene.states == [True]


def test_an_epoch_never_waits_for_the_store(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_watch, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(source_watch, "CLOSE_S", 0.2)
    hangs, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(scene.store, "degraded", lambda: [hangs.set(), go_on.wait(20), {}][-1])
    with scene.watch as watch:
        watch(report(START, {TOPIC: 100}, BAD))
        assert hangs.wait(5)
        begun = time.monotonic()
        watch(report(START, {TOPIC: 100}, BAD))
    assert time.monotonic() - begun < 1
    go_on.set()
    watch._thread.join(5)


def test_the_last_epoch_is_looked_at_before_the_process_ends(scene: Scene) -> None:
    with scene.watch as watch:
        watch(report(START, {TOPIC: 100}, BAD))
    assert scene.states == [True]
