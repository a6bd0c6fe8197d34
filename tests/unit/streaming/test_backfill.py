"""A replay in slices: the same last rows as one big step, and a log that knows no future."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from features.contracts import CONTRACTS
from features.decoding import Decoder
from features.dimensions import no_dimensions
from features.views import VIEWS
from producer.simulate import Simulation, simulate
from streaming.backfill import Blobs, Span, Step, entity_step, event_step, replay
from streaming.jobs import JOBS, Job
from streaming.outcome import FEED, Outcome, Packed
from streaming.packing import from_blob, to_blob

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 1440 * MINUTE
NOW = 1_790_000_000 * SECOND
KEEPING = [job for job in JOBS.values() if job.views]
NOTHING_KNOWN = no_dimensions()
Row = dict[str, Any]
Rows = dict[str, dict[tuple[Any, ...], Row]]


def archived(job: Job, seed: int, stretch: int) -> dict[str, pl.DataFrame]:
    """A simulated log of each topic; `stretch` times as slow, copies included."""
    simulation = Simulation(
        domain=job.name,
        rate=8,
        duration=10,
        users=15,
        seed=seed,
        start_us=NOW,
        duplicate_rate=0.05,
        disorder_rate=0.1,
    )
    sent = list(simulate(simulation))
    found = {}
    for topic in job.topics:
        values = [one.value for one in sent if one.topic == topic]
        received = pl.Series([NOW] * len(values), dtype=pl.Int64)
        at = NOW + (pl.col("event_at").dt.timestamp("us") - NOW) * stretch
        events = Decoder(CONTRACTS[topic]).decode(values, received).events
        found[topic] = events.with_columns(
            event_at=at,
            kafka_partition=pl.lit(0, pl.Int32),
            kafka_offset=pl.int_range(pl.len(), dtype=pl.Int64),
        )
    return found


def blobs(events: dict[str, pl.DataFrame]) -> Blobs:
    return {topic: [to_blob(frame)] for topic, frame in events.items()}


def steps(job: Job) -> tuple[Step, Step]:
    return event_step(job, NOTHING_KNOWN, 1, 0), entity_step(job, NOTHING_KNOWN, 0)


def in_slices(
    job: Job, events: dict[str, pl.DataFrame], span: Span
) -> list[tuple[int, str, pl.DataFrame]]:
    """Through both stages: (slice, kind, what changed in it)."""
    slices: dict[int, dict[str, pl.DataFrame]] = {}
    for topic, frame in events.items():
        numbered = frame.with_columns(slice=pl.col("event_at") // span.slice_us)
        for (number,), part in numbered.partition_by("slice", as_dict=True).items():
            slices.setdefault(int(str(number)), {})[topic] = part.drop("slice")
    wanted = sorted(number for number in slices if number <= span.last)
    first, second = steps(job)
    fed: dict[int, Blobs] = {}
    for number, (_, kind, blob) in replay(first, ((n, blobs(slices[n])) for n in wanted), span):
        fed.setdefault(number, {}).setdefault(kind, []).append(blob)
    found = replay(second, sorted(fed.items()), span)
    return [(number, kind, from_blob(blob)) for number, (_, kind, blob) in found]


def last_rows(changes: Iterable[tuple[str, pl.DataFrame]]) -> Rows:
    """The rows that are there after those changes, one after the other."""
    shown: Rows = {}
    for kind, rows in changes:
        what, _, view = kind.partition(":")
        there = shown.setdefault(view, {})
        for row in rows.iter_rows(named=True):
            key = tuple(row[part] for part in VIEWS[view].key)
            if what == "gone":
                del there[key]
            else:
                there[key] = {name: row[name] for name in row if name != "by_event"}
    return {view: rows for view, rows in shown.items() if rows}


def at_once(job: Job, events: dict[str, pl.DataFrame], watermark: int) -> Rows:
    """All the events at the beginning of time, and then all of time."""
    first, second = steps(job)
    packed: list[Packed] = []
    for brought, at in ((blobs(events), None), ({}, watermark)):
        passed: Blobs = {}
        for _, kind, blob in first(brought, at).rows:
            if kind.startswith((FEED, "rows:", "gone:")):
                passed.setdefault(kind, []).append(blob)
        packed += second(passed, at).rows
    return last_rows(
        (kind, from_blob(blob)) for _, kind, blob in packed if kind.startswith(("rows:", "gone:"))
    )


def newest(events: dict[str, pl.DataFrame]) -> int:
    return max(frame["event_at"].max() for frame in events.values())  # type: ignore[type-var]


def assert_same(found: Rows, wanted: Rows) -> None:
    assert found.keys() == wanted.keys()
    for view, rows in wanted.items():
        assert found[view].keys() == rows.keys(), view
        for key, row in rows.items():
            for name, value in row.items():
                expected = pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
                assert found[view][key][name] == expected, (view, key, name)


def assert_each_changes_once(found: Iterable[tuple[int, str, pl.DataFrame]]) -> None:
    """In a slice an entity has a row or is gone, once."""
    slices: dict[tuple[int, str], list[pl.DataFrame]] = {}
    for number, kind, rows in found:
        view = kind.partition(":")[2]
        slices.setdefault((number, view), []).append(rows.select(VIEWS[view].key))
    for keys in slices.values():
        assert pl.concat(keys).is_unique().all()


@pytest.mark.parametrize("job", KEEPING, ids=lambda job: job.name)
@given(
    seed=st.integers(0, 1000),
    stretch=st.sampled_from([1, 60, 1000, 50_000]),
    minutes=st.sampled_from([1, 10, 60, 1440]),
)
@settings(max_examples=4, deadline=None)
def test_the_last_rows_are_those_of_one_big_step(
    job: Job, seed: int, stretch: int, minutes: int
) -> None:
    events = archived(job, seed, stretch)
    watermark, slice_us = newest(events) - 10 * SECOND, minutes * MINUTE
    span = Span(
        first=0, last=newest(events) // slice_us + 3, slice_us=slice_us, watermark_us=watermark
    )
    found = in_slices(job, events, span)
    assert_same(last_rows((kind, rows) for _, kind, rows in found), at_once(job, events, watermark))


@pytest.mark.parametrize("job", KEEPING, ids=lambda job: job.name)
def test_a_slice_has_the_rows_as_of_its_end(job: Job) -> None:
    """What comes later does not show, and time passes where nothing comes: between, and behind."""
    early, late = archived(job, seed=3, stretch=100), archived(job, seed=4, stretch=100)
    shifted = {
        topic: frame.with_columns(pl.col("event_at") + 100 * MINUTE)
        for topic, frame in late.items()
    }
    events = {topic: pl.concat([frame, shifted[topic]]) for topic, frame in early.items()}
    slice_us = 10 * MINUTE
    begin = NOW // slice_us
    end_of_time = (begin + 18) * slice_us
    span = Span(first=begin, last=begin + 17, slice_us=slice_us, watermark_us=end_of_time)
    found = in_slices(job, events, span)
    for number in range(begin, begin + 18, 2):
        end = (number + 1) * slice_us
        known = {topic: frame.filter(pl.col("event_at") < end) for topic, frame in events.items()}
        so_far = last_rows((kind, rows) for n, kind, rows in found if n <= number)
        assert_same(so_far, at_once(job, known, end))
    assert_each_changes_once(found)


@pytest.mark.parametrize("job", KEEPING, ids=lambda job: job.name)
def test_the_past_of_a_span_counts_and_is_not_shown(job: Job) -> None:
    events = archived(job, seed=3, stretch=1000)
    slice_us = 30 * MINUTE
    whole = Span(first=0, last=NOW // slice_us + 8, slice_us=slice_us, watermark_us=newest(events))
    late = Span(
        first=NOW // slice_us + 3,
        last=whole.last,
        slice_us=slice_us,
        watermark_us=whole.watermark_us,
    )
    shown = {(n, kind): rows for n, kind, rows in in_slices(job, events, whole) if n >= late.first}
    parts = list(in_slices(job, events, late))
    found = {(n, kind): rows for n, kind, rows in parts if n >= late.first}
    before = {kind.partition(":")[2] for n, kind, _ in parts if n < late.first}
    assert all(VIEWS[view].board for view in before)
    assert found.keys() == shown.keys()
    assert found
    for (number, kind), rows in found.items():
        key = list(VIEWS[kind.partition(":")[2]].key)
        assert_frame_equal(rows.sort(key), shown[number, kind].sort(key), rel_tol=1e-9)


def test_without_events_nothing_happens() -> None:
    span = Span(first=0, last=100, slice_us=MINUTE, watermark_us=NOW)
    for step in steps(KEEPING[0]):
        assert list(replay(step, [], span)) == []


def test_the_last_that_happens_to_an_entity_in_a_slice_counts() -> None:
    """Of no view today does a row end in order of event time; it would be told all the same."""
    view, start, slice_us = "derived_session_features", NOW // MINUTE * MINUTE, MINUTE

    def told(what: str, *users: str) -> Packed:
        frame = pl.DataFrame({"user_id": users}).with_columns(
            session_start=pl.lit(NOW), event_at=pl.lit(NOW)
        )
        if what == "rows":
            frame = frame.with_columns(event_count=pl.lit(1), by_event=pl.lit(value=True))
        return 0, f"{what}:{view}", to_blob(frame)

    def step(blobs: Blobs, watermark: int | None) -> Outcome:
        del watermark
        if blobs:
            return Outcome(0, [told("rows", "a", "b"), told("gone", "c")], next_due=start)
        return Outcome(0, [told("rows", "c"), told("gone", "a")])

    number = start // slice_us
    span = Span(first=number, last=number, slice_us=slice_us, watermark_us=start + MINUTE)
    found = replay(step, [(number, {"topic": [b""]})], span)
    users = {kind: sorted(from_blob(blob)["user_id"]) for _, (_, kind, blob) in found}
    assert users == {f"rows:{view}": ["b", "c"], f"gone:{view}": ["a"]}
