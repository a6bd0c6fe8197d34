"""The marts are what a naive oracle computes from the same raw events, whatever was built when."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from oracle.marts import RawEvent, expected_marts, expected_reads
from psycopg.rows import dict_row
from raw_days import load, simulated, unlucky
from secrets_found import files_with, passwords, processes_showing
from stacks import settings_for

from infra.database import ANALYST, conninfo_as
from infra.dbt_process import Dbt
from infra.endpoints import Endpoints
from infra.errors import MartsFailed
from infra.initialise import initialise
from infra.marts import build_marts
from infra.settings import Settings
from infra.stack.stack import Stack

pytestmark = pytest.mark.stack

LONG_AGO, FIRST, SECOND = date(2026, 2, 20), date(2026, 3, 1), date(2026, 3, 2)
BEFORE_MIDNIGHT = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
COLUMNS = {
    "mart_user_daily": "user_id event_date session_count page_view_count click_count cart_count "
    "search_count purchase_count revenue",
    "mart_funnel_daily": "platform event_date view_count click_count cart_count purchase_count "
    "view_users click_users cart_users purchase_users view_to_click_rate click_to_cart_rate "
    "cart_to_purchase_rate overall_rate",
    "mart_product_daily": "product_id event_date view_count click_count cart_count cart_quantity "
    "purchase_count purchase_quantity revenue",
    "mart_orders": "order_id user_id event_date ordered_at platform payment_method item_count "
    "gross_amount discount shipping_fee total_amount",
}
FEATURES = {
    "user_features",
    "episode_features",
    "segment_features",
    "experiment_results",
    "content_quality",
    "fact_daily_metrics",
}
MADE = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'marts'"
IN_ORDER = """
SELECT array_agg(column_name::text ORDER BY ordinal_position)
FROM information_schema.columns WHERE table_schema = 'marts' AND table_name = %s"""
Row = dict[str, Any]


@pytest.fixture(scope="module")
def shop(stack: Endpoints, stack_home: Path, new_home: Callable[[str], Path]) -> Settings:
    """A database of its own in the running PostgreSQL, and a home that points to it."""
    with psycopg.connect(stack.postgres, autocommit=True) as connection:
        connection.execute("CREATE DATABASE shop")
    settings = settings_for(new_home("shop"))
    endpoints = replace(stack, postgres=stack.postgres.rsplit("/", 1)[0] + "/shop")
    endpoints.write(settings.home)
    initialise(endpoints, settings, Stack(settings_for(stack_home)).credentials)
    return settings


@pytest.fixture
def database(shop: Settings) -> Iterator[psycopg.Connection]:
    with psycopg.connect(Endpoints.read(shop.home).postgres) as connection:
        yield connection


@pytest.fixture(scope="module")
def loaded(shop: Settings) -> dict[date, list[RawEvent]]:
    """Two run dates, the later one first and with strays; then the earlier one, whose events go on
    after midnight and of which the later one has copies; then the later one again, with less.
    """
    early = simulated(FIRST, BEFORE_MIDNIGHT, seed=1) + unlucky(FIRST)
    copies = [replace(event, run_date=SECOND) for event in early[::7]]
    late = simulated(SECOND, NOON, seed=2) + copies
    strays = [replace(event, run_date=SECOND) for event in unlucky(LONG_AGO)]
    with psycopg.connect(Endpoints.read(shop.home).postgres) as connection:
        load(connection, SECOND, late + strays)
        first_of_all = build_marts(shop, SECOND)
        load(connection, FIRST, early)
        build_marts(shop, FIRST)
        load(connection, SECOND, late[::2])
        again = build_marts(shop, SECOND)
    assert first_of_all.event_dates == again.event_dates == (LONG_AGO, FIRST, SECOND)
    return {FIRST: early, SECOND: late[::2]}


def rows(connection: psycopg.Connection, table: str) -> list[Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(f"SELECT * FROM {table}").fetchall()


def by(found: list[Row], *key: str) -> dict[tuple[Any, ...], Row]:
    keyed = {tuple(row[name] for name in key): row for row in found}
    assert len(keyed) == len(found)
    return keyed


@pytest.mark.parametrize("mart", COLUMNS)
def test_a_mart_is_what_the_oracle_computes(
    database: psycopg.Connection, loaded: dict[date, list[RawEvent]], mart: str
) -> None:
    key = COLUMNS[mart].split()[0], "event_date"
    expected = by(expected_marts([e for events in loaded.values() for e in events])[mart], *key)
    found = by(rows(database, f"marts.{mart}"), *key)
    assert {day for _, day in found} == {FIRST, SECOND}
    assert found.keys() == expected.keys()
    for entity, row in found.items():
        assert row == bounded(expected[entity]), entity


def bounded(row: Row) -> Row:
    """Doubles to 1e-9; what a type cannot hold is its largest value."""
    return {
        name: pytest.approx(min(value, 1.7976931348623157e308), rel=1e-9)
        if isinstance(value, float)
        else min(value, 2**63 - 1)
        if isinstance(value, int)
        else value
        for name, value in row.items()
    }


@pytest.mark.parametrize("mart", COLUMNS)
def test_the_columns_are_those_of_the_specification(
    database: psycopg.Connection, loaded: object, mart: str
) -> None:
    assert database.execute(IN_ORDER, [mart]).fetchone() == (COLUMNS[mart].split(),)


def test_a_read_over_midnight_is_one_read(
    database: psycopg.Connection, loaded: dict[date, list[RawEvent]]
) -> None:
    genres = dict(database.execute("SELECT episode_id, genre FROM dim.episodes").fetchall())
    expected = expected_reads([e for events in loaded.values() for e in events], genres)
    times = ("started_at", "ended_at")
    key = ("session_id", "episode_id", "started_at")
    found = [
        row | {name: round(row[name].timestamp() * 1e6) for name in times}
        for row in rows(database, "staging.int_reads")
    ]
    compared = {"user_id", "ended_at", "genre", "is_completed", "dwell_time_ms"}
    wanted = by(expected, *key)
    assert by(found, *key).keys() == wanted.keys()
    for entity, row in by(found, *key).items():
        assert {name: row[name] for name in compared} == {
            name: wanted[entity][name] for name in compared
        }
        assert row["is_exit"] == wanted[entity]["is_exit_tag"]
        assert float(row["completion_rate"]) == pytest.approx(wanted[entity]["completion_rate"])
    midnight = datetime(2026, 3, 2, tzinfo=UTC).timestamp() * 1e6
    assert any(row["started_at"] < midnight <= row["ended_at"] for row in found)


def test_every_mart_is_there_and_the_analyst_reads_it(shop: Settings, loaded: object) -> None:
    url = Endpoints.read(shop.home).postgres
    with psycopg.connect(conninfo_as(url, ANALYST)) as analyst:
        made = {name for (name,) in analyst.execute(MADE)}
        assert made == {*COLUMNS, *FEATURES}
        for name in made:
            assert rows(analyst, f"marts.{name}"), name
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            analyst.execute("SELECT FROM staging.int_reads")


def test_features_are_as_of_the_newest_run_date_with_events(
    shop: Settings, database: psycopg.Connection, loaded: object
) -> None:
    found = database.execute("SELECT DISTINCT as_of_date FROM marts.episode_features").fetchall()
    assert found == [(SECOND,)]


@pytest.mark.slow
def test_the_unit_tests_of_the_models_pass(shop: Settings, loaded: object) -> None:
    dbt = Dbt(Endpoints.read(shop.home).postgres, shop.home)
    results = dbt.run(
        ["test", "--select", "test_type:unit"], place="unit-tests", say=lambda _: None
    )
    assert len(results) > 10
    assert [result.message for result in results if result.status != "pass"] == []


@pytest.mark.slow
def test_the_models_and_their_columns_are_documented(shop: Settings, loaded: object) -> None:
    page = Dbt(Endpoints.read(shop.home).postgres, shop.home).document(say=lambda _: None)
    text = page.read_text("utf-8")
    assert all(name in text for name in (*COLUMNS, *FEATURES, "cart_to_purchase_rate"))


@pytest.mark.slow
def test_a_failing_model_is_one_sentence_and_no_password_is_seen_meanwhile(
    shop: Settings, stack_home: Path, database: psycopg.Connection, loaded: object
) -> None:
    secrets, seen = passwords(stack_home), []

    def watch(line: str) -> None:
        if "START" in line:
            seen.append(processes_showing(secrets, [os.getpid()]))

    database.execute("ALTER TABLE marts.mart_orders ADD COLUMN surprise text")
    database.commit()
    try:
        with pytest.raises(MartsFailed, match=r"^Model mart_orders failed: .*\.$") as failed:
            build_marts(shop, SECOND, ["mart_orders"], say=watch)
    finally:
        database.execute("ALTER TABLE marts.mart_orders DROP COLUMN surprise")
        database.commit()
    assert "\n" not in str(failed.value)
    assert seen
    assert not any(seen)
    assert files_with(secrets, shop.home) == {"endpoints.json"}
