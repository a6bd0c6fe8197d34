"""What is read in the background stays until there is something newer, and nobody waits."""

from __future__ import annotations

import threading

import pytest

from serving.dashboard.poller import IDLE_AFTER_S, Poller, Reading


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def explain(error: Exception) -> str | None:
    return f"away: {error}" if isinstance(error, OSError) else None


def test_before_anything_was_read_nothing_is_known() -> None:
    assert Poller("p", lambda: 1, explain, every_s=1).last() == Reading()


def test_what_was_read_last_stays_while_the_source_is_away() -> None:
    answers: list[int | Exception] = [7, OSError("gone"), 8]

    def read() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    clock = Clock()
    poller = Poller("p", read, explain, every_s=1, clock=clock)
    poller.look()
    assert poller.last() == Reading(value=7, at=1000.0)
    clock.now += 5
    poller.look()
    assert poller.last() == Reading(value=7, at=1000.0, problem="away: gone")
    poller.look()
    assert poller.last() == Reading(value=8, at=1005.0)


def test_a_mistake_of_ours_is_not_explained_away() -> None:
    def read() -> int:
        raise KeyError("mistake")

    poller = Poller("rows", read, explain, every_s=1)
    with pytest.raises(KeyError, match="mistake"):
        poller.look()
    assert poller.last().problem == "Reading the rows has failed; the log says why."


def test_while_nobody_looks_nothing_is_asked() -> None:
    clock, asked = Clock(), threading.Semaphore(0)
    poller = Poller("p", asked.release, explain, every_s=0.01, clock=clock)
    poller.start()
    try:
        assert asked.acquire(timeout=5)
        clock.now += IDLE_AFTER_S + 1
        while asked.acquire(timeout=0.1):
            pass
        poller.last()
        assert asked.acquire(timeout=5)
    finally:
        poller.stop()
