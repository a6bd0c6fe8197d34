"""One suite for every store: exact values, once for an epoch however often it is repeated, and
never an older row over a newer one. Memory first, then the real stores.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import polars as pl
import psycopg
import pytest
from deltalake import DeltaTable
from redis import Redis
from sinks_suite.stores import (
    ALL_NULL,
    CLOCK,
    START,
    START_US,
    VIEW,
    VIEWS,
    Driven,
    DrivenDelta,
    DrivenMemory,
    DrivenPostgres,
    DrivenRedis,
    clean,
    create_table,
    epoch,
    expected,
    letters,
    output,
    rows_of,
)

from features.columns import polars_schema, stored_columns
from features.contracts import contract_named
from features.decoding import event_schema
from features.tables import online_table
from features.views import view_named
from infra.database import PIPELINE, pipeline_conninfo
from infra.endpoints import Endpoints
from streaming.ports import DEAD, Clock, EpochStore, Output
from streaming.sinks.delta import DeltaSink
from streaming.sinks.memory import ClockStore, MemoryEpochStore, MemorySink
from streaming.sinks.postgres import PostgresEpochStore
from streaming.sinks.redis import RedisSink

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


@pytest.fixture(scope="module")
def suite_table(stack: Endpoints) -> str:
    create_table(stack.postgres)
    return stack.postgres


@pytest.fixture
def postgres(suite_table: str) -> Iterator[PostgresEpochStore]:
    clean(suite_table)
    store = PostgresEpochStore(pipeline_conninfo(suite_table), views=VIEWS, sleep=lambda _: None)
    yield store
    store.close()


@pytest.fixture
def redis_client(stack: Endpoints) -> Iterator[Any]:
    client = Redis.from_url(f"{stack.redis}/5", decode_responses=True)
    client.flushdb()
    yield client
    client.close()


@pytest.fixture
def redis_sink(stack: Endpoints, redis_client: Any) -> Iterator[RedisSink]:
    sink = RedisSink(f"{stack.redis}/5", views=VIEWS)
    yield sink
    sink.close()


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


# --- every store


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


def test_an_empty_epoch_is_one_too(store: Driven) -> None:
    store.write(epoch(0), output({"note": "first"}))
    before = store.dump()
    store.write(epoch(1), output())
    nothing = Output(rows={}, events={}, dead=pl.DataFrame(schema=DEAD), rows_in=0, duplicates=0)
    store.write(epoch(2), nothing)
    assert store.dump() == before


# --- the store that decides


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


# --- PostgreSQL


@STACK
def test_an_epoch_is_counted(postgres: PostgresEpochStore, suite_table: str) -> None:
    counted = replace(output({}, {"reader_id": "r2"}, dead=letters({})), rows_in=7, duplicates=4)
    postgres.commit(epoch(0), counted, CLOCK)
    query = (
        "SELECT rows_in, rows_out, accepted, duplicates, rejected, watermark, clock->'offsets' "
        "FROM ops.stream_epochs WHERE job = 'suite'"
    )
    with psycopg.connect(suite_table) as connection:
        connection.execute("SET TIME ZONE 'UTC'")
        assert connection.execute(query).fetchall() == [(7, 2, 0, 4, 1, START, {"t/0": 12})]


@STACK
def test_a_failed_epoch_leaves_nothing(postgres: PostgresEpochStore, suite_table: str) -> None:
    no_reason = letters({"reason_code": None})
    with pytest.raises(psycopg.errors.NotNullViolation):
        postgres.commit(epoch(0), output({"note": "half"}, dead=no_reason), CLOCK)
    assert DrivenPostgres(postgres, suite_table).dump() == []
    assert postgres.clock_after("suite", "c1", 0) is None
    postgres.commit(epoch(0), output({"note": "whole"}), CLOCK)
    found = DrivenPostgres(postgres, suite_table).rows()
    assert found == expected(epoch(0), {"note": "whole"})


@STACK
def test_the_pipeline_role_is_enough(suite_table: str) -> None:
    store = PostgresEpochStore(pipeline_conninfo(suite_table))
    rows = pl.DataFrame(
        [{"session_id": "s", "episode_id": "e", "event_at": START, "by_event": True}],
        schema={
            **polars_schema(view_named("session_features").columns),
            "event_at": pl.Datetime("us", "UTC"),
            "by_event": pl.Boolean(),
        },
    )
    changed = replace(output(dead=letters({})), rows={"session_features": rows})
    store.commit(epoch(0, checkpoint=uuid4().hex), changed, CLOCK)
    assert store._open is not None
    assert store._open.execute("SELECT current_user").fetchone() == (PIPELINE,)
    store.close()


@STACK
def test_a_lost_connection_is_replaced(postgres: PostgresEpochStore, suite_table: str) -> None:
    postgres.commit(epoch(0), output({"note": "a"}), CLOCK)
    assert postgres._open is not None
    with psycopg.connect(suite_table, autocommit=True) as owner:
        owner.execute("SELECT pg_terminate_backend(%s)", [postgres._open.info.backend_pid])
    postgres.commit(epoch(1), output({"note": "b"}), CLOCK)
    found = DrivenPostgres(postgres, suite_table).rows()
    assert found == expected(epoch(1), {"note": "b"})


def test_a_server_that_stays_away_is_an_error() -> None:
    waits: list[float] = []
    store = PostgresEpochStore("host=127.0.0.1 port=9 connect_timeout=2", sleep=waits.append)
    with pytest.raises(psycopg.OperationalError):
        store.clock_after("suite", "c1", 0)
    assert len(waits) == 5


@STACK
def test_of_two_processes_with_one_epoch_one_writes(
    postgres: PostgresEpochStore, suite_table: str
) -> None:
    """Both get the rows and the stamps of the one that won, whichever it was."""
    barrier, results = threading.Barrier(2), []

    def commit(note: str, at_s: int) -> None:
        store = PostgresEpochStore(pipeline_conninfo(suite_table), views=VIEWS)
        store.clock_after("suite", "c1", 0)
        barrier.wait()
        stamps, written, _ = store.commit(epoch(0, at_s=at_s), output({"note": note}), CLOCK)
        results.append((stamps.committed_at_us, written.rows[VIEW.name]["note"].to_list()))
        store.close()

    threads = [threading.Thread(target=commit, args=(f"n{n}", n)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    assert results[0] == results[1]


@STACK
def test_an_older_table_gains_what_has_been_declared_since(suite_table: str) -> None:
    older = replace(VIEW, name="grown", stored=VIEW.stored[:2])
    with psycopg.connect(suite_table) as connection:
        for view in (older, replace(VIEW, name="grown")):
            for statement in online_table(view):
                connection.execute(statement)
        columns = connection.execute("SELECT * FROM online.grown").description or []
        connection.execute("DROP TABLE online.grown")
    assert {column.name for column in VIEW.features} <= {column.name for column in columns}


# --- Redis


@STACK
def test_a_hash_is_text_and_holds_no_null(redis_sink: RedisSink, redis_client: Any) -> None:
    row = {**ALL_NULL, "ratio": 1e-7, "total": 5, "is_closed": False, "tags": ['a"', "b"]}
    at = START + timedelta(microseconds=123_000)
    redis_sink.write(epoch(2), output({**row, "seen_at": at, "note": ""}))
    assert redis_client.hgetall("suite:r1:e1") == {
        "reader_id": "r1",
        "episode_id": "e1",
        "note": "",
        "ratio": "0.0000001",
        "total": "5",
        "is_closed": "false",
        "seen_at": "2026-01-01T00:00:00.123000Z",
        "tags": '["a\\"","b"]',
        "event_at": "2026-01-01T00:00:01.000000Z",
        "updated_at": "2026-01-01T00:00:20.000000Z",
        "feature_version": "3",
        "_version": "1:2",
    }


@STACK
def test_a_list_has_a_key_of_its_own(redis_sink: RedisSink, redis_client: Any) -> None:
    tags = ["old", 'say "hi"', "웹툰"]
    redis_sink.write(epoch(2), output({"tags": tags}, {"reader_id": "r2", "tags": []}))
    assert redis_client.lrange("suite_tags:r1", 0, -1) == tags
    assert 595 < redis_client.ttl("suite_tags:r1") <= 600
    assert not redis_client.exists("suite_tags:r2")
    redis_sink.write(epoch(1), output({"tags": ["older"]}))
    redis_sink.write(epoch(3), output({"tags": ["decayed"], "by_event": False}))
    assert redis_client.lrange("suite_tags:r1", 0, -1) == tags
    redis_sink.write(epoch(4), output({"tags": None}))
    assert not redis_client.exists("suite_tags:r1")


@STACK
def test_an_event_renews_the_time_to_live(redis_sink: RedisSink, redis_client: Any) -> None:
    redis_sink.write(epoch(0), output({}))
    redis_client.pexpire("suite:r1:e1", 5_000)
    redis_sink.write(epoch(1), output({"note": "event"}))
    assert 595 < redis_client.ttl("suite:r1:e1") <= 600


@STACK
def test_the_passing_of_time_does_not(redis_sink: RedisSink, redis_client: Any) -> None:
    redis_sink.write(epoch(0), output({}))
    redis_client.pexpire("suite:r1:e1", 50_000)
    redis_sink.write(epoch(1), output({**ALL_NULL, "note": "decayed", "by_event": False}))
    assert 40 < redis_client.ttl("suite:r1:e1") <= 50
    found = redis_client.hgetall("suite:r1:e1")
    assert (found["note"], found.get("ratio")) == ("decayed", None)


@STACK
def test_the_passing_of_time_brings_no_key_back(redis_sink: RedisSink, redis_client: Any) -> None:
    redis_sink.write(epoch(1), output({"by_event": False}))
    assert redis_client.keys() == []


@STACK
def test_many_rows_and_a_restarted_redis(redis_sink: RedisSink, redis_client: Any) -> None:
    rows = rows_of(*({"reader_id": f"r{n}", "total": n} for n in range(1_201)))
    redis_sink.write(epoch(0), replace(output(), rows={VIEW.name: rows}))
    redis_client.script_flush()
    redis_client.client_kill_filter(_type="normal", skipme=True)
    redis_sink.write(epoch(1), replace(output(), rows={VIEW.name: rows}))
    assert redis_client.dbsize() == 2 * 1_201
    assert redis_client.hget("suite:r1200:e1", "total") == "1200"
    assert redis_client.hget("suite:r1200:e1", "_version") == "1:1"


# --- Delta


def archived() -> pl.DataFrame:
    contract = contract_named("user-events")
    event = dict.fromkeys(event_schema(contract)) | {
        "event_id": "e1",
        "event_at": START - timedelta(microseconds=1),
        "event_type": "purchase",
        "user_id": "u 😀",
        "extra": [{"key": 'k"', "value": "v"}, {"key": "n", "value": None}],
        "kafka_partition": 3,
        "kafka_offset": 2**40,
        "received_at": START,
        "contract_version": 1,
    }
    schema = event_schema(contract) | {
        "kafka_partition": pl.Int32(),
        "kafka_offset": pl.Int64(),
        "received_at": pl.Datetime("us", "UTC"),
        "contract_version": pl.Int32(),
    }
    return pl.DataFrame([event, {**event, "extra": None}], schema=schema)


def test_events_are_archived_as_declared(tmp_path: Path) -> None:
    sink = DeltaSink(str(tmp_path))
    sink.ensure(topics=["user-events"])
    table = DeltaTable(tmp_path / "events" / "user_events")
    declared = stored_columns(contract_named("user-events"))
    assert [field.name for field in table.schema().fields] == [c.name for c in declared]
    assert [field.nullable for field in table.schema().fields] == [c.nullable for c in declared]
    assert table.metadata().partition_columns == ["event_date"]
    for _ in range(2):
        sink.write(epoch(0), replace(output(), events={"user-events": archived()}, rows={}))
    table.update_incremental()
    found = table.to_pyarrow_table().to_pylist()
    assert [row["extra"] for row in found] == [[('k"', "v"), ("n", None)], None]
    assert found[0]["event_date"] == START.date() - timedelta(days=1)
    assert (found[0]["ingested_at"], found[0]["epoch"]) == (START, 0)
    assert (found[0]["kafka_partition"], found[0]["kafka_offset"]) == (3, 2**40)


def test_a_null_where_none_may_be_is_refused(tmp_path: Path) -> None:
    sink = DeltaSink(str(tmp_path), views=VIEWS)
    with pytest.raises(Exception, match=r"(?i)null"):
        sink.write(epoch(0), output({"reader_id": None}))


def test_another_process_finds_what_the_first_has_written(tmp_path: Path) -> None:
    """Both opened the table before; the second must see the commit that came in between."""
    one, two = (DeltaSink(str(tmp_path), views=VIEWS) for _ in range(2))
    one.ensure(views=VIEWS)
    two.ensure(views=VIEWS)
    one.write(epoch(0), output({}))
    two.write(epoch(0), output({}))
    assert DeltaTable(tmp_path / "features" / VIEW.name).to_pyarrow_table().num_rows == 1


def test_a_feature_that_was_declared_later_is_added(tmp_path: Path) -> None:
    young = replace(VIEW, stored=VIEW.stored[1:])
    DeltaSink(str(tmp_path), views={VIEW.name: young}).write(epoch(0), output({}))
    DeltaSink(str(tmp_path), views=VIEWS).write(epoch(1), output({"note": "new"}))
    table = DeltaTable(tmp_path / "features" / VIEW.name).to_pyarrow_table()
    found = sorted(table.to_pylist(), key=lambda row: row["batch_id"])
    assert [(row["note"], row["ratio"]) for row in found] == [(None, 0.5), ("new", 0.5)]


def test_a_checkpoint_stands_every_hundred_commits(tmp_path: Path) -> None:
    sink = DeltaSink(str(tmp_path), views=VIEWS)
    for number in range(99):
        sink.write(epoch(number), output({}))
    log = tmp_path / "features" / VIEW.name / "_delta_log"
    assert [path.name for path in log.glob("*.checkpoint.parquet")] == [
        "00000000000000000099.checkpoint.parquet"
    ]
