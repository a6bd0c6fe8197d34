"""A query that ended because a Python process came too late is started again, at most twice.

No real one can be made to come late, so the queries here are stand-ins; the end-to-end tests run
real ones through the same lines.
"""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from streaming import driver

LATE = "[STREAM_FAILED] Query terminated with exception: Python worker failed to connect back."


class Query:
    """One that has ended, of `failure` if there is one."""

    isActive = False  # noqa: N815 - Spark's name
    name = "webtoon"

    def __init__(self, failure: str | None) -> None:
        self.failure = failure

    def exception(self) -> Exception | None:
        return None if self.failure is None else RuntimeError(self.failure)

    def awaitTermination(self) -> None:  # noqa: N802 - Spark's name
        if self.failure is not None:
            raise RuntimeError(self.failure)


class Running:
    """Starts one query after the other."""

    def __init__(self, *failures: str | None) -> None:
        self.left = list(failures)
        self.runner = SimpleNamespace(clock=None, next_due_us=None)
        self.plan = SimpleNamespace(job=SimpleNamespace(name="webtoon"))

    def drain(self) -> Query:
        return Query(self.left.pop(0))

    start = drain


def drained(running: Any) -> None:
    driver.drain(threading.Event(), [running], lambda: None)


def test_what_came_late_is_started_again() -> None:
    running = Running(LATE, LATE, None)
    drained(running)
    assert running.left == []


def test_what_always_comes_late_is_an_error() -> None:
    running = Running(LATE, LATE, LATE, None)
    with pytest.raises(RuntimeError, match="connect back"):
        drained(running)
    assert running.left == [None]


def test_any_other_failure_ends_the_job() -> None:
    running = Running("no room on the disk", None)
    with pytest.raises(RuntimeError, match="no room"):
        drained(running)
    assert running.left == [None]


def test_a_running_job_starts_again_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(driver, "_stop", lambda *_: None)
    monkeypatch.setattr(driver, "_is_due", lambda _: False)
    running: Any = Running(LATE, "no room on the disk", None)
    with pytest.raises(RuntimeError, match="no room"):
        driver.run_until(threading.Event(), [running], lambda: None)
    assert running.left == [None]
