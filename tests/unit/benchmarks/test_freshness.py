"""Open loop: due times are fixed beforehand; samples are what a reader can look for."""

from __future__ import annotations

import time
from typing import Any

import pytest

from benchmarks.freshness import Floor, floor_of, samples_of, upcoming
from features.timestamps import to_iso

AT_US = 1_800_000_000_000_000
SECOND = 1_000_000


def epoch(after_s: float, rows_in: int, seconds: float) -> dict[str, Any]:
    return {
        "event": "epoch",
        "timestamp": to_iso(AT_US + round(after_s * SECOND)),
        "rows_in": rows_in,
        "seconds": seconds,
        "stages": {"process": seconds / 2, "redis": 0.1},
    }


def test_records_are_due_in_the_future_at_an_even_pace() -> None:
    records = upcoming("webtoon", 200, 2.0)
    assert records[0].due_us > time.time_ns() // 1000
    assert len(records) == 400
    assert records[-1].due_us - records[0].due_us == pytest.approx(2 * SECOND, rel=0.01)


@pytest.mark.parametrize(("job", "prefix"), [("webtoon", "webtoon_session:"), ("commerce", "user")])
def test_a_sample_is_an_event_with_its_key_and_its_due_time(job: str, prefix: str) -> None:
    records = upcoming(job, 1000, 3.0)
    samples = samples_of(job, records, 1000)
    due = {sent.due_us for sent in records[::20]}
    assert 0.7 * 150 < len(samples) <= 150
    assert all(sample.key.startswith(prefix) for sample in samples)
    assert not any(sample.key.endswith(":None") for sample in samples), "nobody's events"
    assert {sample.due_us for sample in samples} <= due
    assert all(sample.event_at == to_iso(sample.due_us) for sample in samples)


def test_the_floor_is_of_the_epochs_with_events_in_that_time() -> None:
    lines = [
        {"event": "started"},
        epoch(-1.0, 100, 9.0),
        epoch(1.0, 100, 0.4),
        epoch(1.5, 100, 0.2),
        epoch(1.7, 0, 0.1),
        epoch(2.5, 100, 0.6),
        epoch(99.0, 100, 9.0),
    ]
    found = floor_of(lines, AT_US, AT_US + 10 * SECOND)
    assert (found.epochs, found.every) == (3, 0.75)
    assert found.between == pytest.approx(0.75 - 0.4)
    assert found.parts == {"process": pytest.approx(0.2), "redis": pytest.approx(0.1)}


def test_one_epoch_has_no_time_between() -> None:
    found = floor_of([epoch(1.0, 100, 0.4)], AT_US, AT_US + 10 * SECOND)
    assert found == Floor(epochs=1, every=0.0, between=0.0, parts={})
