"""A query that fails is started again: soon when it got on, not for ever when it does not, and only
while all services answer.

No real query fails to order, so those here are stand-ins; the chaos tests kill what real ones need.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from streaming import driver, running
from streaming.epochs import LostEpoch
from streaming.outages import ServiceWatch
from streaming.running import Running
from streaming.sinks.lease import LeaseTaken


class Query:
    """One that has ended, of `failure` if there is one."""

    isActive = False  # noqa: N815 - Spark's name

    def __init__(self, failure: str | None) -> None:
        self.failure = failure

    def exception(self) -> Exception | None:
        return None if self.failure is None else RuntimeError(self.failure)

    def stop(self) -> None: ...


class Plan:
    """Starts one query after the other."""

    def __init__(self, *failures: str | None) -> None:
        self.left: Iterator[str | None] = iter(failures)
        self.job = SimpleNamespace(name="webtoon")
        self.runner = SimpleNamespace(
            clock=None,
            next_due_us=None,
            failure=None,
            busy=threading.Lock(),
            totals=SimpleNamespace(epochs=0),
            boards=SimpleNamespace(wanted_at_us=None),
            drained_at_us=None,
        )

    def drain(self) -> Query:
        return Query(next(self.left))

    start = drain


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PAUSES_S", (0.0,) * 5)
    monkeypatch.setattr(driver, "LOOK_EVERY_S", 0.0)


def of(plan: Any, watch: ServiceWatch | None = None, restarted: list[str] | None = None) -> Running:
    told = restarted if restarted is not None else []
    return Running(plan, plan.runner, watch or ServiceWatch({}), told.append)


def drained(job: Running) -> None:
    driver.drain(threading.Event(), [job], lambda: None)


def test_what_has_failed_is_started_again_and_that_is_told() -> None:
    told: list[str] = []
    drained(of(Plan("a worker is gone", "a worker is gone", None), restarted=told))
    assert told == ["webtoon", "webtoon"]


def test_what_always_fails_is_an_error() -> None:
    plan = Plan(*["no room on the disk"] * 5, "one more")
    with pytest.raises(RuntimeError, match="no room"):
        drained(of(plan))
    assert list(plan.left) == ["one more"]


def test_what_gets_on_between_two_failures_may_fail_again_and_again() -> None:
    plan = Plan(*["a worker is gone"] * 20, None)
    job = of(plan)
    begin = job._begin

    def with_an_epoch(start: Any) -> None:
        plan.runner.totals.epochs += 1
        begin(start)

    job._begin = with_an_epoch  # type: ignore[method-assign]
    drained(job)
    assert list(plan.left) == []


def test_while_a_service_is_away_nothing_starts_and_nothing_counts() -> None:
    answers = iter([*["Connection refused"] * 30, *[None] * 9])
    told: list[set[str]] = []
    watch = ServiceWatch({"redis": lambda: next(answers)}, lambda away: told.append(set(away)))
    plan = Plan("Connection refused", None)
    drained(of(plan, watch))
    assert told == [{"redis"}, set()]
    assert list(plan.left) == []
    assert len(list(answers)) >= 7  # not one of the thirty has started it


@pytest.mark.parametrize("final", [LeaseTaken("webtoon", "another"), LostEpoch("webtoon", "c", 3)])
def test_what_no_other_try_can_mend_is_said_at_once(final: Exception) -> None:
    plan = Plan("[STREAM_FAILED] ...", None)
    plan.runner.failure = final
    with pytest.raises(type(final)):
        drained(of(plan))
    assert list(plan.left) == [None]


def test_a_running_job_starts_again_too() -> None:
    plan = Plan(*["a worker is gone"] * 5)
    with pytest.raises(RuntimeError, match="a worker is gone"):
        driver.run_until(threading.Event(), [of(plan)], lambda: None)


def test_a_stop_is_heard_while_a_job_waits() -> None:
    stop = threading.Event()
    watch = ServiceWatch({"kafka": lambda: "away"}, lambda _: stop.set())
    driver.run_until(stop, [of(Plan("away"), watch)], lambda: None)
