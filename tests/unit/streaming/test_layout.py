"""A checkpoint is used again only with what its state was made for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import polars as pl
import pytest

from features.dimensions import no_dimensions
from streaming import layout
from streaming.decode_stage import events_in_buckets
from streaming.event_stage import PLACE, EventStage, event_columns
from streaming.jobs import JOBS, Job
from streaming.layout import layout_of, mismatches
from streaming.outcome import Outcome
from streaming.packing import from_blob
from streaming.state.memory import MemoryState

TOPIC = "webtoon_user_events"
NOW = 1_790_000_000_000_000
JOB = JOBS["webtoon"].only(["session_features"])


def stored(job: Job = JOBS["commerce"], *, buckets: int = 2, shuffle_partitions: int = 2) -> Any:
    """As it comes back from the database."""
    made = layout_of(job, buckets=buckets, shuffle_partitions=shuffle_partitions)
    return json.loads(json.dumps(made))


def test_what_would_go_wrong() -> None:
    """With other buckets a session is looked for where it is not: it begins anew, and a copy counts
    twice.
    """
    states: dict[int, MemoryState] = {}

    def run(event_id: str, buckets: int) -> tuple[int, int]:
        """The events of the session's row and the copies, after one more event."""
        event = dict.fromkeys(event_columns(TOPIC)) | {
            "event_id": event_id,
            "event_at": NOW + int(event_id),
            "session_id": "s2",  # in bucket 0 of two, and in 2 of four
            "episode_id": "ep_0001",
            "event_type": "scroll",
            "scroll_ratio": 0.5,
            "kafka_partition": 0,
            "kafka_offset": int(event_id),
        }
        places = dict.fromkeys(PLACE, pl.Int64)
        events = pl.DataFrame([event], schema={**event_columns(TOPIC), **places})
        [(bucket, blob)] = events_in_buckets(events, "session_id", buckets)
        stage, outcome = EventStage(JOB, no_dimensions(), buckets), Outcome(bucket)
        stage.init(states.setdefault(bucket, MemoryState()))  # type: ignore[arg-type]
        stage.take({TOPIC: [blob]}, outcome, watermark=NOW)
        rows = [from_blob(blob) for _, kind, blob in outcome.rows if kind.startswith("rows:")]
        return sum(int(row["event_count"].sum()) for row in rows), outcome.duplicates

    assert [run("1", 2), run("2", 2), run("2", 2)] == [(1, 0), (2, 0), (0, 1)]
    assert [run("2", 4), run("3", 4)] == [(1, 0), (2, 0)]  # not a copy, and not the third


def test_the_same_code_and_settings_fit() -> None:
    for job in JOBS.values():
        made = layout_of(job, buckets=2, shuffle_partitions=2)
        assert mismatches(stored(job), made) == []


@pytest.mark.parametrize("setting", ["buckets", "shuffle_partitions"])
def test_what_is_fixed_by_the_first_epoch_is_named(setting: str) -> None:
    made = layout_of(JOBS["commerce"], **{"buckets": 2, "shuffle_partitions": 2, setting: 4})
    assert mismatches(stored(), made) == [f"{setting} 2 (now 4)"]


def test_a_form_of_state_that_nobody_reads_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored()
    monkeypatch.setattr(layout, "STATE_FORM", 2)
    assert mismatches(before, stored()) == ["state form 1 (now 2)"]


def test_a_topic_that_is_sorted_by_another_key() -> None:
    other = replace(JOBS["commerce"], key_of={"user-events": "user_id"})
    assert mismatches(stored(), stored(other)) == [
        "topics user-events key session_id (now user_id)"
    ]


def test_a_view_of_another_version_or_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    before = stored()
    view = layout_of(JOBS["commerce"], buckets=2, shuffle_partitions=2)["views"]
    changed = {**view["derived_session_features"], "gap": 1}
    after = {**stored(), "views": {**view, "derived_session_features": changed}}
    found = mismatches(before, after)
    assert found == ["views derived_session_features gap 600000000 (now 1)"]


def test_a_view_that_is_gained_or_let_go_is_none() -> None:
    job = JOBS["commerce"]
    fewer = job.only(job.views[:-1])
    assert mismatches(stored(fewer), stored(job)) == []
    assert mismatches(stored(job), stored(fewer)) == []


def test_the_first_view_of_another_key_needs_a_step_more() -> None:
    job = JOBS["webtoon"]
    assert mismatches(stored(JOB), stored(job)) == ["keyed steps 1 (now 2)"]


def test_a_measure_that_is_gained_is_none_but_one_of_another_type_is() -> None:
    before = stored()
    columns = before["views"]["commerce_session_features"]["columns"]
    del columns["clicks"]
    columns["revenue"] = "Int64"
    found = mismatches(before, stored())
    assert found == ["views commerce_session_features columns revenue Int64 (now Float64)"]
