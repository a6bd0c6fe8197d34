"""One suite for every store: exact values, once for an epoch however often it is repeated, and
never an older row over a newer one. Memory first, then the real stores.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from sinks_suite.stores import (
    ALL_NULL,
    CLOCK,
    START_US,
    VIEW,
    VIEWS,
    Driven,
    DrivenDelta,
    DrivenMemory,
    DrivenPostgres,
    DrivenRedis,
    archived,
    epoch,
    expected,
    letters,
    output,
)

from streaming.ports import DEAD, Clock, EpochStore, Output
from streaming.sinks.delta import DeltaSink
from streaming.sinks.memory import ClockStore, MemoryEpochStore, MemorySink

STACK = pytest.mark.stack
POSTGRES = pytest.param("postgres", marks=STACK)
REDIS = pytest.param("redis", marks=STACK)
HOSTILE = [
    'it\'s "quoted"',
    " spaces  in and around ",
    "😀:한국어",
    "back\\slash \\N \\. \\t",
    "tab\tline\nreturn\r",
    "{curly},[square]%s$1",
    "NULL",
    "a" * 256,
]


def driven(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Driven:
    get = request.getfixturevalue
    if kind == "postgres":
        return DrivenPostgres(get("postgres"), get("suite_table"))
    if kind == "redis":
        return DrivenRedis(get("redis_sink"), get("redis_client"))
    if kind == "delta":
        sink = DeltaSink(f"{tmp_path}/lake", views=VIEWS)
        sink.ensure(views=VIEWS)
        return DrivenDelta(sink, f"{tmp_path}/lake")
    return DrivenMemory({"store": MemoryEpochStore, "sink": MemorySink}[kind](views=VIEWS))


@pytest.fixture(params=["store", "sink", "delta", POSTGRES, REDIS])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Driven:
    return driven(request.param, request, tmp_path)


@pytest.fixture(params=["store", POSTGRES])
def epochs(request: pytest.FixtureRequest) -> EpochStore:
    if request.param == "postgres":
        found: EpochStore = request.getfixturevalue("postgres")
        return found
    return MemoryEpochStore(VIEWS)


def test_values_come_back_exactly(store: Driven) -> None:
    rows = [
        {"reader_id": "full"},
        {"reader_id": "null", **ALL_NULL},
        {"reader_id": "empty", "note": "", "tags": [], "is_closed": False, "total": 0},
        {"reader_id": "tiny", "ratio": 1e-7, "total": -(2**63), "small": 2**31 - 1},
        {"reader_id": "third", "ratio": 1 / 3, "seen_at": datetime(1970, 1, 1, tzinfo=UTC)},
        {"reader_id": "huge", "ratio": 1.2345678901234567e300, "total": 2**63 - 1},
        {"reader_id": "list", "tags": [*HOSTILE, ""]},
    ]
    store.write(epoch(0), output(*rows))
    assert store.rows() == expected(epoch(0), *rows)


def test_any_text_survives(store: Driven) -> None:
    rows = [{"reader_id": text, "episode_id": text[::-1], "note": text} for text in HOSTILE]
    store.write(epoch(0), output(*rows))
    assert store.rows() == expected(epoch(0), *rows)


def test_the_same_epoch_twice_changes_nothing(store: Driven) -> None:
    store.write(epoch(3), output({"note": "first"}))
    before = store.dump()
    store.write(epoch(3, at_s=5), output({"note": "second"}, {"reader_id": "r1", "note": "x"}))
    assert store.dump() == before
    assert store.rows() == expected(epoch(3), {"note": "first"})


def test_an_older_epoch_changes_nothing(store: Driven) -> None:
    # 9 and 10: compared as text they would stand the other way round.
    store.write(epoch(10), output({"note": "new"}))
    before = store.dump()
    store.write(epoch(9), output({"note": "old"}))
    assert store.dump() == before


def test_a_newer_epoch_replaces_the_whole_row(store: Driven) -> None:
    store.write(epoch(9), output({"note": "old"}, {"reader_id": "other"}))
    store.write(epoch(10), output({**ALL_NULL, "note": "new"}))
    other = expected(epoch(9), {"reader_id": "other"})
    assert store.rows() == {**other, **expected(epoch(10), {**ALL_NULL, "note": "new"})}


def test_a_new_generation_replaces_and_an_old_one_does_not(store: Driven) -> None:
    store.write(epoch(50), output({"note": "old"}))
    newer = epoch(0, generation=2, checkpoint="c2")
    if isinstance(store, DrivenDelta):
        store.sink = DeltaSink(store.lake, views=VIEWS)
    store.write(newer, output({"note": "new"}))
    store.write(epoch(51), output({"note": "old"}))
    assert store.rows() == expected(newer, {"note": "new"})


@pytest.mark.parametrize("kind", ["sink", "delta", REDIS])
def test_nothing_shows_before_the_epoch_is_committed(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    store = driven(kind, request, tmp_path)
    sink = store.store if isinstance(store, DrivenMemory) else store.sink  # type: ignore[attr-defined]
    store.write(epoch(1), output({"note": "first"}))
    before = store.dump()

    sink.prepared(epoch(2), output({"note": "another"}))
    write = sink.prepared(epoch(2), output({"note": "second"}))
    assert store.dump() == before
    write()
    assert store.rows() == expected(epoch(2), {"note": "second"})


def test_an_empty_epoch_is_one_too(store: Driven) -> None:
    store.write(epoch(0), output({"note": "first"}))
    before = store.dump()
    store.write(epoch(1), output())
    nothing = Output(rows={}, events={}, dead=pl.DataFrame(schema=DEAD), rows_in=0, duplicates=0)
    store.write(epoch(2), nothing)
    assert store.dump() == before


def test_a_repeated_epoch_returns_what_the_first_wrote(epochs: EpochStore) -> None:
    first = output({"note": "a", "tags": HOSTILE}, {"reader_id": "r2", **ALL_NULL})
    epochs.commit(epoch(3), output({"reader_id": "before"}), CLOCK)
    other = epoch(4, generation=2, checkpoint="c2")
    epochs.commit(other, output({"reader_id": "elsewhere"}), CLOCK)
    assert epochs.commit(epoch(4), first, CLOCK) == (epoch(4), first, CLOCK)
    retried = replace(output({"note": "b"}), rows_in=9, duplicates=9, rows={})
    stamps, again, clock = epochs.commit(epoch(4, at_s=3), retried, Clock(watermark_us=1))
    assert (stamps, clock) == (epoch(4), CLOCK)
    assert (again.rows_in, again.duplicates) == (2, 0)
    assert again.rows[VIEW.name].sort("reader_id").equals(first.rows[VIEW.name])
    assert again.rows[VIEW.name].schema == first.rows[VIEW.name].schema


def test_the_clock_is_kept_by_epoch(epochs: EpochStore) -> None:
    later = Clock(watermark_us=START_US + 1, event_times={"t/0": 2**60}, offsets={"t/0": 13})
    assert epochs.clock_after("suite", "c1", -1) is None
    epochs.commit(epoch(0), output(), Clock())
    epochs.commit(epoch(1), output(), later)
    assert epochs.clock_after("suite", "c1", 0) == Clock()
    assert epochs.clock_after("suite", "c1", 1) == later
    assert epochs.clock_after("suite", "c2", 1) is None
    assert epochs.clock_after("other", "c1", 1) is None


def test_a_watermark_is_pinned_once(epochs: EpochStore) -> None:
    assert epochs.pin_watermark("suite", "c1", 1, START_US + 1) == START_US + 1
    assert epochs.pin_watermark("suite", "c1", 1, START_US + 2) == START_US + 1
    assert epochs.pin_watermark("suite", "c1", 2, START_US + 2) == START_US + 2


def test_the_sink_in_memory_keeps_events_and_dead_letters_once() -> None:
    sink = MemorySink(views=VIEWS)
    written = replace(output(dead=letters({})), events={"user-events": archived()})
    for _ in range(2):
        sink.write(epoch(0), written)
    assert len(sink.dead) == 1
    assert len(sink.events["user-events"]) == archived().height


def test_the_clock_store_keeps_the_clock_alone() -> None:
    store = ClockStore()
    store.commit(epoch(0), output({}), CLOCK)
    assert store.clock_after("suite", "c1", 0) == CLOCK
    assert store.clock_after("suite", "c1", 1) is None
    assert store.pin_watermark("suite", "c1", 1, 7) == 7


@pytest.mark.parametrize("follower", ["sink", "delta", REDIS])
def test_after_a_crash_the_followers_get_what_was_committed(
    epochs: EpochStore, follower: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    sink = driven(follower, request, tmp_path)
    epochs.commit(epoch(0), output({"note": "committed"}), CLOCK)
    # The process died here. The retry computes something else, at another time.
    retried = output({"note": "different"}, {"reader_id": "extra"})
    stamps, repeated, _ = epochs.commit(epoch(0, at_s=7), retried, CLOCK)
    sink.write(stamps, repeated)
    assert sink.rows() == expected(epoch(0), {"note": "committed"})


def dead_letters(store: EpochStore, url: str | None) -> list[tuple[Any, ...]]:
    if isinstance(store, MemoryEpochStore):
        columns = ("topic", "partition", "offset", "payload", "reason_code")
        return sorted(store.dead_letters().select(columns).rows())
    query = (
        'SELECT topic, partition, "offset", payload, reason_code FROM ops.dead_letters '
        'ORDER BY topic, "offset"'
    )
    assert url is not None
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def test_a_dead_letter_keeps_any_payload(
    epochs: EpochStore, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("suite_table") if epochs.name == "postgres" else None
    payloads = [None, b"", bytes(range(256)) * (5 << 12)]
    dead = letters(
        *({"topic": "t", "offset": n, "payload": value} for n, value in enumerate(payloads))
    )
    epochs.commit(epoch(0), output(dead=dead), CLOCK)
    again = letters({"topic": "t", "offset": 1, "payload": b"", "reason_code": "too_large"})
    epochs.commit(epoch(1), output(dead=again), CLOCK)
    codes = ["not_json", "too_large", "not_json"]
    assert dead_letters(epochs, url) == [
        ("t", 1, n, payload, code)
        for n, (payload, code) in enumerate(zip(payloads, codes, strict=True))
    ]
