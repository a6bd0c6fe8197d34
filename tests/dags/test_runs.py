"""The DAGs run for real, as `airflow dags test` runs them: on a good day, a bad one, and twice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from click.testing import CliRunner
from fake_slack import Slack, slack
from psycopg import sql

from features.marts import PUBLISHED
from infra.cli import main
from infra.endpoints import Endpoints
from infra.settings import load_settings
from streaming.batch.daily import DAILY_JOBS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.stack,
    # Airflow's own use of its libraries, and connections that it leaves to the garbage collector.
    pytest.mark.filterwarnings("ignore"),
]
MARTS = ("mart_user_daily", "mart_funnel_daily", "mart_product_daily", "mart_orders")
DOMAINS = {"commerce": "user-events", "webtoon": "webtoon_user_events"}
TABLES = tuple(("marts", mart) for mart in MARTS)
# Nobody has paid on that day.
WITHOUT_PAYMENTS = {"batch/transaction_totals", "batch/transaction_products"}
OF_DBT = [view.name for view in PUBLISHED.values() if view.made_by == "dbt"]
OF_SPARK = [view.name for view in PUBLISHED.values() if view.made_by == "spark"]
GOOD, BAD = date(2026, 6, 1), date(2026, 6, 2)
States = Mapping[str, str]


@pytest.fixture(scope="module")
def days(stack: Endpoints, stack_home: Path) -> Path:
    """A home where a good day has landed, and one where every twentieth line is no event."""
    for day in (GOOD, BAD):
        folder = stack_home / "landing" / day.isoformat()
        folder.mkdir(parents=True)
        for domain, topic in DOMAINS.items():
            file = folder / f"{topic}.jsonl"
            produce(domain, file, day)
            if day == BAD:
                lines = file.read_text("utf-8").splitlines()
                lines[::20] = ["{}"] * len(lines[::20])
                file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return stack_home


def produce(domain: str, file: Path, day: date) -> None:
    words = f"--domain {domain} --to jsonl:{file} --rate 40 --duration 60 --seed 7 --users 200"
    words += f" --start {day.isoformat()}T10:00:00Z"
    done = CliRunner().invoke(main, ["produce", *words.split()])
    assert done.exit_code == 0, done.output


@pytest.fixture
def receiver(days: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slack]:
    with slack() as fake:
        monkeypatch.setenv("USERFLOW_HOME", str(days))
        monkeypatch.setenv("USERFLOW_SLACK_WEBHOOK", fake.url)
        yield fake


@pytest.fixture
def run(run_dag: Callable[[str, date], States], receiver: Slack) -> Callable[[str, date], States]:
    """Run a DAG for a day, with Slack and the home in its environment."""
    del receiver
    return run_dag


def query(stack: Endpoints, statement: str, *values: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(stack.postgres) as connection:
        return connection.execute(statement.encode(), values).fetchall()


def contents(stack: Endpoints) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the marts, as text and in order."""
    found = {}
    with psycopg.connect(stack.postgres) as connection:
        for names in TABLES:
            select = sql.SQL("SELECT t::text FROM {} t ORDER BY 1").format(sql.Identifier(*names))
            found[".".join(names)] = connection.execute(select).fetchall()
    return found


def test_a_good_day_is_loaded_and_its_repeat_changes_nothing(
    run: Callable[[str, date], States], receiver: Slack, stack: Endpoints
) -> None:
    states = run("behavior_log_daily", GOOD)
    assert states.pop("stop_pipeline") == "skipped"
    assert set(states.values()) == {"success"}, states
    assert receiver.titles == ["behavior_log_daily is done"]
    loaded = query(stack, "SELECT count(*) FROM raw.events WHERE run_date = %s", GOOD)
    first = contents(stack)
    assert all(first.values())

    assert run("behavior_log_daily", GOOD)["run"] == "success"
    assert query(stack, "SELECT count(*) FROM raw.events WHERE run_date = %s", GOOD) == loaded
    assert contents(stack) == first


def test_of_a_bad_day_nothing_is_loaded_and_slack_is_told_why(
    run: Callable[[str, date], States], receiver: Slack, stack: Endpoints
) -> None:
    states = run("behavior_log_daily", BAD)
    assert (states["run"], states["stop_pipeline"]) == ("failed", "failed")
    assert {states[task] for task in ("load_raw", *MARTS, "notify_slack")} == {"skipped"}
    assert receiver.titles == ["behavior_log_daily failed at stop_pipeline"]
    told = receiver.bodies[0]["blocks"][0]["text"]["text"]
    assert "pass where 99.00% must" in told
    assert "240, fail required_fields" in told
    assert query(stack, "SELECT FROM raw.events WHERE run_date = %s", BAD) == []
    checks = query(stack, "SELECT passed FROM ops.quality_log WHERE run_date = %s", BAD)
    assert len(checks) == 8
    assert (False,) in checks


@pytest.fixture
def loaded(days: Path, receiver: Slack) -> None:
    from infra.raw_load import load_raw

    load_raw(load_settings(), GOOD)


def test_features_are_published_a_repeat_changes_nothing_and_what_breaks_the_gate_is_kept_out(
    loaded: None, run: Callable[[str, date], States], receiver: Slack, stack: Endpoints
) -> None:
    states = run("feature_store_hourly", GOOD)
    assert set(states.values()) == {"success"}, states
    first = online(stack, OF_DBT)
    assert first["user_features_daily"]

    assert run("feature_store_hourly", GOOD)["run"] == "success"
    assert online(stack, OF_DBT) == first
    assert receiver.titles == ["feature_store_hourly is done"] * 2

    rated = "SELECT episode_id, avg_rating FROM dim.episodes ORDER BY 1 LIMIT 1"
    ((episode, rating),) = query(stack, rated)
    with rated_as(stack, episode, -1.0, after=rating):
        states = run("feature_store_hourly", GOOD)
    assert (states["build_features"], states["quality_gate"]) == ("success", "failed")
    assert states["publish_online"] == "upstream_failed"
    assert receiver.titles[2:] == ["feature_store_hourly failed at quality_gate"]
    assert "episode_features:episode_avg_rating.between (1 of" in str(receiver.bodies[2])
    assert online(stack, OF_DBT) == first


@contextmanager
def rated_as(stack: Endpoints, episode: str, rating: float, *, after: float) -> Iterator[None]:
    """A metadata table with a rating that none can be, for as long as the block lasts."""
    statement = b"UPDATE dim.episodes SET avg_rating = %s WHERE episode_id = %s"
    with psycopg.connect(stack.postgres, autocommit=True) as connection:
        connection.execute(statement, [rating, episode])
        try:
            yield
        finally:
            connection.execute(statement, [after, episode])


def test_of_a_shops_day_that_breaks_its_gate_nothing_is_computed(
    run: Callable[[str, date], States], receiver: Slack, stack: Endpoints
) -> None:
    assert query(stack, "SELECT FROM raw.events WHERE run_date = %s", BAD) == []
    states = run("ecommerce_etl_daily", BAD)
    assert (states.pop("run"), states.pop("validate_raw")) == ("failed", "failed")
    assert set(states.values()) == {"upstream_failed"}
    assert receiver.titles == ["ecommerce_etl_daily failed at validate_raw"]
    logged = "SELECT passed FROM ops.quality_log WHERE run_date = %s AND check_name = %s"
    assert query(stack, logged, BAD, "gx:raw:raw:any_rows") == [(False,)]


def test_the_shops_day_ends_in_the_warehouse_and_online_and_its_repeat_changes_nothing(
    loaded: None, run: Callable[[str, date], States], receiver: Slack, stack: Endpoints
) -> None:
    states = run("ecommerce_etl_daily", GOOD)
    assert set(states.values()) == {"success"}, states
    assert receiver.titles == ["ecommerce_etl_daily is done"]
    first = shop(stack)
    assert {name for name, rows in first.items() if not rows} == WITHOUT_PAYMENTS

    assert run("ecommerce_etl_daily", GOOD)["run"] == "success"
    assert shop(stack) == first


def shop(stack: Endpoints) -> dict[str, list[tuple[Any, ...]]]:
    """What a shop's day leaves: tables in the lake, figures in the warehouse, rows online."""
    figures = query(stack, "SELECT * FROM marts.fact_daily_metrics ORDER BY 1, 2")
    return {"figures": figures, **online(stack, OF_SPARK), **lake(stack)}


def lake(stack: Endpoints) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the tables of the daily jobs, in order."""
    names = [name for job in DAILY_JOBS.values() for name in job.tables]
    tables = {f"batch/{name}": pl.read_delta(f"{stack.lake}/batch/{name}") for name in names}
    return {name: sorted(table.rows(), key=str) for name, table in tables.items()}


def online(stack: Endpoints, views: Iterable[str]) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of these views in order, but not when and how often it was published."""
    found = {}
    with psycopg.connect(stack.postgres) as connection:
        for name in views:
            columns = map(sql.Identifier, (column.name for column in PUBLISHED[name].columns))
            key = map(sql.Identifier, PUBLISHED[name].key)
            select = sql.SQL("SELECT {} FROM {} ORDER BY {}").format(
                sql.SQL(", ").join(columns),
                sql.Identifier("online", name),
                sql.SQL(", ").join(key),
            )
            found[name] = connection.execute(select).fetchall()
    return found
