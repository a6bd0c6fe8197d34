"""Stream = backfill = rebuild = oracle, for every view, whatever the order of arrival, the batches
and the watermarks.

Outside Spark, through the two stages of a job as the stream and the backfill run them. Times lie
around the limits that something depends on: gaps, deadlines, tiles, windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from operator import itemgetter
from typing import Any

import polars as pl
import pytest
from comparing import differences, plain
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from oracle.views import Log, expected

from features.dimensions import EPISODES, PRODUCTS, Dimensions
from features.views import VIEWS
from streaming.backfill import (
    Blobs,
    Span,
    Step,
    as_batch,
    entity_step,
    event_step,
    replay,
)
from streaming.epochs import entities_gone, feature_rows
from streaming.event_stage import event_columns
from streaming.jobs import JOBS, Job
from streaming.outcome import FEED, Packed
from streaming.packing import from_blob, to_blob
from streaming.rebuild import STATE, rebuilding, whole_span
from streaming.state import segments
from streaming.state.memory import MemoryState
from streaming.state.store import State

MS, SECOND = 1000, 1_000_000
MINUTE, HOUR = 60 * SECOND, 3600 * SECOND
NOW = 1_790_000_000 * SECOND
SLICE_US = 24 * HOUR
GAPS = [
    0,
    99 * MS,
    100 * MS,
    9 * SECOND,
    *(limit + more for limit in (10 * MINUTE, 30 * MINUTE, HOUR) for more in (-1, 0, 1)),
    25 * HOUR,
]
GENRES, CATEGORIES = {"ep1": "drama", "ep2": "액션"}, {"p1": "tea", "p2": "tea", "p3": "cups"}
KNOWN = Dimensions(
    episodes=pl.DataFrame(
        [(name, genre, ["a"], 4.5) for name, genre in GENRES.items()], EPISODES, orient="row"
    ),
    products=pl.DataFrame([*CATEGORIES.items()], PRODUCTS, orient="row"),
)
READS = {
    "event_type": ["enter", "scroll", "scroll", "complete", "exit"],
    "user_id": ["a", "한국"],
    "session_id": ["s1", "s2"],
    "episode_id": ["ep1", "ep2", "ep3"],
    "country": ["KR", "US"],
    "experiment_group": ["A", "B"],
    "ui_version": [None, "v2"],
    "scroll_ratio": [None, 0.25, 0.5, 1.0],
}
SHOPPING = {
    "event_type": ["product_view", "product_view", "click", "add_to_cart", "purchase", "page_view"],
    "user_id": ["a", "a", "한국", None],
    "session_id": ["s1", "s2", None],
    "product_id": ["p1", "p2", "p4"],
    "category": [None, "cups"],
    "price": [None, 12.5],
    "total_amount": [None, 1.0, 32.0],
    "device_type": [None, "mobile"],
    "platform": [None, "ios"],
    "ip": [None, "1", "2"],
    "page_url": [None, "/x", "/y"],
    "experiment_group": [None, "A", "B"],
    "items": [None, [], [{"product_id": "p3", "quantity": 1, "unit_price": 2.0}]],
}
FIELDS = {"webtoon": READS, "commerce": SHOPPING}
Event = dict[str, Any]
Rows = dict[str, dict[tuple[Any, ...], Event]]


@st.composite
def logs(draw: st.DrawFn, fields: Mapping[str, list[Any]]) -> list[Event]:
    events, now = [], NOW
    size = draw(st.integers(1, 16))
    for number in draw(st.permutations(range(size))):  # ids say nothing about times
        now += draw(st.sampled_from(GAPS))
        event = {name: draw(st.sampled_from(values)) for name, values in fields.items()}
        if event["event_type"] == "scroll":
            event["scroll_ratio"] = event["scroll_ratio"] or 0.75
        if event["event_type"] == "page_view":
            event |= {"product_id": None, "category": None, "price": None}
            event["page_url"] = event["page_url"] or "/z"
        events.append(event | {"event_id": f"e{number:03}", "event_at": now})
    return events


def frame(job: Job, events: list[Event]) -> Blobs:
    """As the decode stage packs them; every third comes twice."""
    (topic,) = job.topics
    copies = [*events, *events[::3]]
    schema = {name: type_ for name, type_ in event_columns(topic).items() if name != "row"}
    rows = pl.DataFrame([dict.fromkeys(schema) | one for one in copies], schema=schema)
    placed = rows.with_columns(
        kafka_partition=pl.lit(0, pl.Int32),
        kafka_offset=pl.int_range(pl.len(), dtype=pl.Int64),
        received_at="event_at",
        raw=pl.lit(None, pl.Binary),
    )
    return {topic: [to_blob(placed)]} if events else {}


def changed(shown: Rows, packed: list[Packed]) -> None:
    """Let what a step put out happen."""
    for _, kind, blob in packed:
        what, _, view = kind.partition(":")
        if what not in ("rows", "gone"):
            continue
        typed = feature_rows if what == "rows" else entities_gone
        for found in typed(view, from_blob(blob)).iter_rows(named=True):
            row = {name: plain(value) for name, value in found.items()}
            key = tuple(row[part] for part in VIEWS[view].key)
            if what == "gone":
                shown[view].pop(key, None)
            else:
                shown.setdefault(view, {})[key] = row


def streamed(job: Job, log: list[Event], watermark: int, data: st.DataObject) -> Rows:
    steps = event_step(job, KNOWN, 1, 0), entity_step(job, KNOWN, 0)
    left = data.draw(st.permutations(log))
    return going_on(steps, left, None, Rows(), (job, watermark, data))


def going_on(
    steps: tuple[Step, Step],
    left: list[Event],
    now: int | None,
    shown: Rows,
    run: tuple[Job, int, st.DataObject],
) -> Rows:
    """The stream from there on."""
    (first, second), (job, watermark, data) = steps, run

    def epoch(batch: list[Event], now: int | None) -> None:
        fed: Blobs = {}
        if data.draw(st.booleans()):
            segments.forget()  # another worker
        for _, kind, blob in first(frame(job, batch), now).rows:
            if kind.startswith((FEED, "rows:", "gone:")):
                fed.setdefault(kind, []).append(blob)
        changed(shown, second(fed, now).rows)

    while left:
        size = data.draw(st.integers(min(4, len(left)), len(left)))
        batch, left = left[:size], left[size:]
        epoch(batch, now)
        oldest = min((one["event_at"] for one in left), default=watermark)
        now = data.draw(st.integers(NOW - HOUR if now is None else now, max(now or 0, oldest)))
        now = min(now, watermark)
    epoch([], watermark)
    return shown


def rebuilt(job: Job, log: list[Event], watermark: int, data: st.DataObject) -> Rows:
    """A part of the log from the archive, the rest by a stream with the state that this leaves."""
    order = data.draw(st.permutations(log))
    cut = data.draw(st.integers(0, len(order)))
    archive, left = order[:cut], order[cut:]
    oldest = min((one["event_at"] for one in left), default=watermark)
    now = min(data.draw(st.integers(NOW - HOUR, max(NOW - HOUR, oldest))), watermark)
    span, slices = whole_span(now), dict[int, list[Event]]()
    for event in archive:
        slices.setdefault(event["event_at"] // span.slice_us, []).append(event)
    packed = [
        (0, number, kind, blob)
        for number in sorted(slices)
        for kind, blobs in frame(job, slices[number]).items()
        for blob in blobs
    ]
    shown, states = Rows(), (MemoryState(), MemoryState())
    for state, start in zip(
        states,
        (partial(event_step, job, KNOWN, 1), partial(entity_step, job, KNOWN)),
        strict=True,
    ):
        fed, blobs = [], []
        for batch in rebuilding(start, span)([as_batch(packed)]):
            for bucket, number, kind, blob in zip(*batch.to_pydict().values(), strict=True):
                if kind == STATE:
                    blobs.append((number, blob))
                elif kind.startswith(FEED):
                    fed.append((bucket, number, kind, blob))
                else:
                    changed(shown, [(bucket, kind, blob)])
        State(state).begin_with(blobs)  # type: ignore[arg-type]
        packed = sorted(fed, key=itemgetter(1))
    steps = (
        event_step(job, KNOWN, 1, 0, states[0]),
        entity_step(job, KNOWN, 0, states[1]),
    )
    return going_on(steps, left, now, shown, (job, watermark, data))


def replayed(job: Job, log: list[Event], watermark: int) -> Rows:
    slices: dict[int, list[Event]] = {}
    for event in log:
        slices.setdefault(event["event_at"] // SLICE_US, []).append(event)
    span = Span(first=0, last=watermark // SLICE_US + 1, slice_us=SLICE_US, watermark_us=watermark)
    fed: dict[int, Blobs] = {}
    sliced = ((number, frame(job, slices[number])) for number in sorted(slices))
    for number, (_, kind, blob) in replay(event_step(job, KNOWN, 1, 0), sliced, span):
        fed.setdefault(number, {}).setdefault(kind, []).append(blob)
    shown = Rows()
    for _, packed in replay(entity_step(job, KNOWN, 0), sorted(fed.items()), span):
        changed(shown, [packed])
    return shown


def shows(view: str, row: Event) -> bool:
    """Whether a row shows anything but zeros."""
    return any(row[column.name] for column in VIEWS[view].features if column.name in row)


@pytest.mark.parametrize("name", FIELDS)
@given(data=st.data())
# A step takes too long to make a failing example smaller.
@settings(max_examples=6, deadline=None, phases=[Phase.generate])
def test_stream_backfill_and_oracle_agree_on_every_view(name: str, data: st.DataObject) -> None:
    job = JOBS[name]
    events = data.draw(logs(FIELDS[name]))
    ends = st.sampled_from([0, 10 * MINUTE + 1, 31 * MINUTE, 70 * MINUTE, 26 * HOUR])
    watermark = events[-1]["event_at"] + data.draw(ends)
    ways = {
        "stream": streamed(job, events, watermark, data),
        "backfill": replayed(job, events, watermark),
        "rebuild": rebuilt(job, events, watermark, data),
    }
    empty = dict.fromkeys(event_columns(job.topics[0]))
    log = Log([empty | event for event in events], watermark, GENRES, CATEGORIES)
    for view in job.views:
        wanted = expected(view, log)
        for way, shown in ways.items():
            found = shown.get(view, {})
            # What was counted for an entity and taken back leaves a row that shows nothing.
            left = {key: row for key, row in found.items() if key in wanted or shows(view, row)}
            assert left.keys() == wanted.keys(), (way, view)
            for key, features in wanted.items():
                # What a board shows is added by the driver.
                mine = {one: value for one, value in features.items() if one in found[key]}
                assert not differences(found[key], mine), (way, view, key)
