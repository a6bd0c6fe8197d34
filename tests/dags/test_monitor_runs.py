"""The DAGs that look after things run for real: a lagging stream, a gate that fails, a lake."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from batch_stores import DAY, load, new_database, reading, settings_of
from click.testing import CliRunner
from deltalake import DeltaTable
from fake_slack import Slack, slack

from infra.cli import main
from infra.endpoints import Endpoints
from streaming.source import end_offsets

pytestmark = [
    pytest.mark.slow,
    pytest.mark.stack,
    # Airflow's own use of its libraries, and connections that it leaves to the garbage collector.
    pytest.mark.filterwarnings("ignore"),
]
TOPIC = "webtoon_user_events"
Run = Callable[[str, date], Mapping[str, str]]


@pytest.fixture(scope="module")
def database(stack: Endpoints, stack_home: Path) -> Endpoints:
    return new_database(stack, stack_home, "monitors")


@pytest.fixture
def home(database: Endpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings_of(database, tmp_path)
    monkeypatch.setenv("USERFLOW_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def receiver(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slack]:
    with slack() as fake:
        monkeypatch.setenv("USERFLOW_SLACK_WEBHOOK", fake.url)
        yield fake


def execute(url: str, statement: str, *values: Any) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode(), values)


def committed(url: str, ago: timedelta, offsets: Mapping[str, int]) -> None:
    """The last epoch of the webtoon stream: when it was, and up to where it had read."""
    execute(url, "DELETE FROM ops.stream_epochs")
    execute(
        url,
        "INSERT INTO ops.stream_epochs VALUES ('webtoon', 'c', 1, 1, now() - %s, NULL, %s, "
        "0, 0, 0, 0, 0)",
        ago,
        json.dumps({"offsets": offsets}),
    )


def test_a_stream_that_lags_is_told_once_and_once_when_it_has_caught_up(
    run_dag: Run, receiver: Slack, database: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USERFLOW_WATCHDOG_LAG", "10")
    words = "produce --domain webtoon --rate 20 --duration 1 --users 5 --seed 3"
    produced = CliRunner().invoke(main, words.split())
    assert produced.exit_code == 0, produced.output
    committed(database.postgres, timedelta(hours=1), {})
    for _ in range(2):
        assert set(run_dag("stream_watchdog", DAY).values()) == {"success"}
    lags, stands = "Stream webtoon lags behind", "Stream webtoon stands still"
    assert receiver.titles == [lags, stands]
    assert "are unread, 10 are allowed" in str(receiver.bodies[0])
    committed(database.postgres, timedelta(0), end_offsets(database.kafka)([TOPIC]))
    assert run_dag("stream_watchdog", DAY)["run"] == "success"
    assert sorted(receiver.titles[2:]) == [f"Over: {lags}", f"Over: {stands}"]


def test_a_gate_that_goes_on_failing_is_told_once_and_once_when_it_passes(
    run_dag: Run, receiver: Slack, database: Endpoints
) -> None:
    url = database.postgres
    load(url, [reading(number, scroll_ratio=7) for number in range(20)])
    for _ in range(2):
        states = run_dag("quality_monitor", DAY)
        assert (states["raw_events"], states["session_features"]) == ("failed", "success")
    assert receiver.titles == ["Gate raw fails"]
    assert "scroll_ratio.between (20 of 20)" in str(receiver.bodies[0])
    load(url, [reading(number) for number in range(20)])
    assert set(run_dag("quality_monitor", DAY).values()) == {"success"}
    assert receiver.titles == ["Gate raw fails", "Over: gate raw fails"]


def test_the_lake_is_compacted_and_what_is_too_old_goes(
    run_dag: Run,
    receiver: Slack,
    database: Endpoints,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("USERFLOW_LAKE_RETENTION_DAYS", "30")
    table = home / "lake" / "events" / TOPIC
    days = [DAY, DAY - timedelta(days=40)]
    for part in range(3):
        frame = pl.DataFrame({"id": [part, part], "event_date": days})
        options = {"partition_by": ["event_date"]}
        frame.write_delta(table, mode="append", delta_write_options=options)
    statement = "INSERT INTO ops.quality_log VALUES (%s, now(), %s, 'all', 1, 0, 1, true, '[]')"
    for name, ago in (("old", 100), ("new", 1)):
        execute(database.postgres, statement, name, DAY - timedelta(days=ago))
    assert set(run_dag("lake_maintenance", DAY).values()) == {"success"}
    assert receiver.titles == ["lake_maintenance is done"]
    assert len(DeltaTable(table).file_uris()) == 1
    assert pl.read_delta(str(table))["event_date"].to_list() == [DAY] * 3
    with psycopg.connect(database.postgres) as connection:
        left = connection.execute("SELECT run_id FROM ops.quality_log WHERE check_name = 'all'")
        assert left.fetchall() == [("new",)]
