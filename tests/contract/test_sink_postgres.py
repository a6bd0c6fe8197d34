"""PostgreSQL decides: an epoch is there wholly and once, whatever fails."""

from __future__ import annotations

import threading
from dataclasses import replace
from uuid import uuid4

import polars as pl
import psycopg
import pytest
from sinks_suite.stores import (
    CLOCK,
    START,
    START_US,
    VIEW,
    VIEWS,
    DrivenPostgres,
    epoch,
    expected,
    letters,
    output,
)

from features.columns import polars_schema
from features.tables import online_table
from features.views import view_named
from infra.database import PIPELINE, pipeline_conninfo
from streaming.sinks import postgres_sql
from streaming.sinks.postgres import PostgresEpochStore

STACK = pytest.mark.stack


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
def test_a_failed_epoch_leaves_nothing(
    postgres: PostgresEpochStore, suite_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(postgres_sql, "PUT_DEAD_LETTER", "INSERT" + " %s" * 11)
        with pytest.raises(psycopg.errors.SyntaxError):
            postgres.commit(epoch(0), output({"note": "half"}, dead=letters({})), CLOCK)
    assert DrivenPostgres(postgres, suite_table).dump() == []
    assert postgres.clock_after("suite", "c1", 0) is None
    postgres.commit(epoch(0), output({"note": "whole"}), CLOCK)
    found = DrivenPostgres(postgres, suite_table).rows()
    assert found == expected(epoch(0), {"note": "whole"})


@STACK
def test_what_is_long_past_is_forgotten(
    postgres: PostgresEpochStore, suite_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streaming.sinks.postgres.KEPT_EPOCHS", 3)
    for number in range(8):
        postgres.pin_watermark("suite", "c1", number, START_US)
        postgres.commit(epoch(number), output(), CLOCK)
    with psycopg.connect(suite_table) as connection:
        for table in ("stream_epochs", "stream_watermarks"):
            query = f"SELECT epoch FROM ops.{table} WHERE job = 'suite' ORDER BY epoch"
            assert connection.execute(query).fetchall() == [(4,), (5,), (6,), (7,)]


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
