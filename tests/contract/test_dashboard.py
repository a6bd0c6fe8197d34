"""What the dashboard reads, from real stores and as the role that it reads with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from dashboard_rows import JOB, SHOWN, forget_rows, put_messages, put_rows

from infra.database import analyst_conninfo
from infra.endpoints import Endpoints
from serving.dashboard.board import NOT_INITIALISED, Board, Seen, explain_postgres
from serving.dashboard.sources import Sources
from serving.dashboard.stored import Stored, connect, read

pytestmark = pytest.mark.stack


@pytest.fixture
def rows(stack: Endpoints) -> Iterator[None]:
    forget_rows(stack)
    put_rows(stack)
    yield
    forget_rows(stack)


@pytest.fixture
def board(stack: Endpoints, tmp_path: Path) -> Iterator[Board]:
    conninfo = analyst_conninfo(stack.postgres)
    board = Board(Sources(kafka=stack.kafka, postgres=conninfo, streams=tmp_path))
    yield board
    board.stop()


def read_now(stack: Endpoints) -> Stored:
    with connect(analyst_conninfo(stack.postgres)) as connection:
        return read(connection, as_of=datetime.now(UTC), products=[SHOWN, "not there"])


def within(seconds: float, look: Callable[[], Seen], is_so: Callable[[Seen], bool]) -> Seen:
    deadline = time.monotonic() + seconds
    while not is_so(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.1)
    return seen


def test_segments_are_weighted_by_their_reads(stack: Endpoints, rows: None) -> None:
    (genre,) = [one for one in read_now(stack).by_genre.to_dicts() if one["name"] == SHOWN]
    assert genre["read_count"] == 40
    assert genre["completion_rate"] == pytest.approx(0.7)
    assert genre["exit_rate"] == pytest.approx(0.2)


def test_groups_come_with_the_test_of_their_window(stack: Endpoints, rows: None) -> None:
    stored = read_now(stack)
    found = [one for one in stored.reading_tests["24h"].to_dicts() if one["beside"] == SHOWN]
    assert [(one["group"], one["count"], one["z"]) for one in found] == [
        ("A", 200, None),
        ("B", 200, -2.31),
    ]
    assert set(stored.reading_tests) == set(stored.sales_tests) == {"1h", "24h", "7d"}


def test_of_each_job_there_is_the_last_epoch(stack: Endpoints, rows: None) -> None:
    (one,) = [one for one in read_now(stack).progress if one.job == JOB]
    assert (one.epoch, one.rows_in, one.rejected) == (9, 49, 9)
    assert one.offsets == {"user-events/0": 0}


def test_products_alerts_and_degraded_sources_are_found(stack: Endpoints, rows: None) -> None:
    stored = read_now(stack)
    known, unknown = stored.products.to_dicts()
    assert (known["category"], known["cart_count_1h"]) == ("shoes", 7)
    assert (unknown["product_id"], unknown["category"]) == ("not there", None)
    assert SHOWN in stored.alerts["event_id"].to_list()
    assert JOB in stored.degraded["topic"].to_list()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT user_id FROM online.commerce_session_features",
        "SELECT user_id FROM ops.alerts",
        "SELECT * FROM ops.stream_epochs",
        "SELECT * FROM ops.api_keys",
        "SELECT * FROM raw.events",
    ],
)
def test_the_dashboard_can_read_nobody(stack: Endpoints, statement: str) -> None:
    with (
        connect(analyst_conninfo(stack.postgres)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)


def test_the_dashboard_can_write_nothing(stack: Endpoints) -> None:
    with (
        connect(analyst_conninfo(stack.postgres)) as connection,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        connection.execute("CREATE TEMPORARY TABLE own (n int)")
    with connect(analyst_conninfo(stack.postgres)) as connection:
        connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM online.segment_features")


def test_alerts_name_no_user(stack: Endpoints) -> None:
    with connect(analyst_conninfo(stack.postgres)) as connection:
        described = connection.execute("SELECT * FROM online.alerts LIMIT 0").description or []
    assert "user_id" not in [column.name for column in described]


def test_a_database_without_tables_is_told_what_to_run(stack: Endpoints) -> None:
    with (
        connect(analyst_conninfo(stack.postgres)) as connection,
        pytest.raises(psycopg.errors.UndefinedTable) as raised,
    ):
        connection.execute("SELECT * FROM online.not_there")
    assert explain_postgres(raised.value) == NOT_INITIALISED


def test_a_board_hears_each_session_once(stack: Endpoints, board: Board) -> None:
    before = within(20, board.look, lambda seen: seen.stored.value is not None)
    put_messages(stack)
    name = f"{SHOWN} 4"
    seen = within(20, board.look, lambda seen: name in seen.heard.sessions["session_id"])
    mine = [one for one in seen.heard.sessions["session_id"] if one.startswith(SHOWN)]
    assert sorted(mine) == [f"{SHOWN} {number}" for number in range(5)]
    seen = within(20, board.look, lambda seen: SHOWN in seen.heard.products["product_id"])
    assert seen.heard.repeated >= before.heard.repeated + 5
    assert within(20, board.look, lambda seen: seen.heard.unreadable > 0)
    assert seen.topics is None
    assert seen.ends.problem is None


def test_a_connection_that_is_lost_is_made_again(stack: Endpoints, board: Board) -> None:
    within(20, board.look, lambda seen: seen.stored.value is not None)
    with psycopg.connect(stack.postgres, autocommit=True) as owner:
        ended = owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'userflow dashboard'"
        ).fetchall()
    assert ended
    lost = within(20, board.look, lambda seen: seen.stored.problem is not None)
    assert lost.stored.value is not None  # what was known stays
    within(20, board.look, lambda seen: seen.stored.problem is None)
