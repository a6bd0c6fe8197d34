"""Pacing is an open loop, runs are counted, and a stop is a result."""

from __future__ import annotations

import json
from threading import Event

import pytest

from producer.run import Pace, paced, run, unpaced
from producer.sent import Kind, Sent
from producer.sinks import MemorySink
from producer.times import SECOND_US


def records(count: int, rate: int = 10, kind: Kind = "clean") -> list[Sent]:
    return [Sent("t", None, b"", 0, i * SECOND_US // rate, kind) for i in range(count)]


class Time:
    """A clock that only moves when somebody waits or works."""

    def __init__(self, stop_at: float = 1e9) -> None:
        self.now = 100.0
        self.stop_at = stop_at

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return self.now >= self.stop_at

    def pace(self) -> Pace:
        return Pace(0, self, self.wait)


def test_records_are_sent_when_they_are_due() -> None:
    time = Time()
    sent_at = [(time.now - 100, len(batch)) for batch in paced(records(20), time.pace())]
    assert sum(count for _, count in sent_at) == 20
    assert sent_at[-1][0] == pytest.approx(1.9, abs=0.01)
    assert all(count <= 2 for _, count in sent_at)


def test_a_slow_moment_is_caught_up_without_drift() -> None:
    time = Time()
    sizes = []
    for batch in paced(records(30), time.pace()):
        sizes.append(len(batch))
        if len(sizes) == 1:
            time.now += 1.0
    assert max(sizes) >= 9
    assert time.now - 100 == pytest.approx(2.9, abs=0.01)


def test_a_stop_ends_the_pace_at_once() -> None:
    time = Time(stop_at=101.0)
    assert 8 <= sum(len(batch) for batch in paced(records(1000), time.pace())) <= 11


def test_without_a_pace_batches_are_full() -> None:
    assert [len(batch) for batch in unpaced(records(2500))] == [1000, 1000, 500]


def test_the_summary_counts_kinds_and_topics() -> None:
    time, sink, progress = Time(), MemorySink(), []
    batches = iter([records(3), records(2, kind="bad"), records(1, kind="duplicate")])
    summary = run(batches, sink, stopped=Event(), progress=progress.append, clock=time)
    summary.seconds = 2.0
    assert summary.to_json() == {
        "sent": 6,
        "bad": 2,
        "late": 0,
        "duplicates": 1,
        "refused": 0,
        "seconds": 2.0,
        "events_per_second": 3,
        "topics": {"t": 6},
    }
    assert summary.line() == "Sent 6 events (2 bad, 1 duplicates) to t in 2.0 s, 3/s."
    assert progress == [3, 2, 1]
    assert len(sink.records) == 6
    json.dumps(summary.to_json())


def test_a_stopped_run_has_a_summary_of_what_arrived() -> None:
    stopped, sink = Event(), MemorySink()
    summary = run(unpaced(records(5000)), sink, stopped=stopped, progress=lambda _: stopped.set())
    assert summary.sent == len(sink.records) == 1000


def test_nothing_sent_is_a_summary_too() -> None:
    assert run(unpaced([]), MemorySink(), stopped=Event()).line().startswith("Sent 0 events")
