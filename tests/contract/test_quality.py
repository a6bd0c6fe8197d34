"""The gates on real tables: what passes, what stops, what only warns, and where it is told."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from batch_stores import DAY, TOPIC, fill, load, make_marts, new_database, reading, settings_of
from click.testing import CliRunner, Result
from fake_slack import slack
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import Jsonb
from secrets_found import files_with

from features.columns import ColumnType
from features.marts import PUBLISHED
from features.views import VIEWS
from infra.cli import main
from infra.endpoints import Endpoints
from infra.errors import GateFailed
from infra.quality import run_suite
from infra.quality_log import GateReport, read_history
from infra.settings import Settings

pytestmark = pytest.mark.stack
Run = Callable[..., GateReport]
EVENTS = 40


@pytest.fixture(scope="module")
def database(stack: Endpoints, stack_home: Path) -> Endpoints:
    return new_database(stack, stack_home, "gates")


@pytest.fixture
def url(database: Endpoints) -> str:
    """The database without events, marts and earlier gates."""
    with psycopg.connect(database.postgres) as owner:
        owner.execute("DELETE FROM raw.events")
        owner.execute("DELETE FROM ops.quality_log")
    return database.postgres


@pytest.fixture
def settings(database: Endpoints, url: str, tmp_path: Path) -> Settings:
    return settings_of(database, tmp_path)


@pytest.fixture
def gate(settings: Settings) -> Run:
    """Run suite `raw` over the webtoon events of a day."""

    def run(**more: Any) -> GateReport:
        chosen = {"settings": settings, "suite": "raw", "run_date": DAY, "tables": [TOPIC]}
        return run_suite(**{**chosen, **more})

    return run


def events(count: int = EVENTS, **other: Any) -> list[dict[str, Any]]:
    return [reading(number, **other) for number in range(count)]


def stopped(failure: pytest.ExceptionInfo[GateFailed]) -> dict[str, tuple[int, int]]:
    """What failed and stops: of how many rows how many."""
    return {
        f"{one['column']}.{one['check']}": (one["failed"], one["checked"])
        for one in failure.value.figures["expectations"]
        if not one["passed"] and one["severity"] == "stop"
    }


def logged(url: str) -> dict[str, tuple[int, int, bool]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT check_name, checked, failed, passed FROM ops.quality_log"
        ).fetchall()
    return {name: tuple(rest) for name, *rest in rows}


def test_a_good_first_day_passes_and_is_written_down(url: str, gate: Run) -> None:
    load(url, events())
    report = gate()
    assert (report.stops, report.warnings) == ([], [])
    log = logged(url)
    assert log[f"gx:raw:{TOPIC}:row_count"] == (1, 0, True), "there is no earlier day to compare"
    assert log[f"gx:raw:{TOPIC}:scroll_ratio.between"] == (EVENTS, 0, True)
    assert len(log) == len(report.outcomes) > 20


def test_a_bad_day_stops_and_says_which_and_how_many(url: str, gate: Run) -> None:
    bad = [
        reading(100, scroll_ratio=1.7),
        reading(101, scroll_ratio=None),
        reading(102, scroll_ratio="half"),
        reading(103, device="fridge"),
        reading(104, country="kr"),
        reading(105, user_id=None),
        reading(106, event_type="enter", scroll_ratio=None),
    ]
    load(url, [*events(), *bad])
    with pytest.raises(GateFailed, match=r"scroll_ratio\.between \(1 of 44\)") as failure:
        gate()
    many = EVENTS + len(bad)
    assert stopped(failure) == {
        "scroll_ratio.between": (1, many - 3),
        "scroll_ratio.not_null_where": (2, many - 1),
        "wrong_types.is_null": (1, many),
        "device.allowed": (1, many),
        "country.pattern": (1, many),
        "user_id.not_null": (1, many),
    }
    assert logged(url)[f"gx:raw:{TOPIC}:device.allowed"] == (many, 1, False)


def test_slack_is_told_of_what_stops_and_need_not_listen(
    url: str, database: Endpoints, gate: Run, tmp_path: Path
) -> None:
    load(url, events(scroll_ratio=-1))
    with slack((404, {}, 0)) as receiver:
        known = settings_of(database, tmp_path, slack_webhook=receiver.webhook)
        with pytest.raises(GateFailed):
            gate(settings=known)
    assert receiver.titles == [f"Gate raw of {DAY} failed"]
    assert "scroll_ratio.between (40 of 40)" in json.dumps(receiver.bodies[0])


def test_a_day_without_rows_stops(gate: Run) -> None:
    with pytest.raises(GateFailed, match="raw:any_rows"):
        gate()


def observed(url: str, check: str, *figures: float) -> None:
    """What gates of the days before have found, the day before first."""
    with psycopg.connect(url) as owner:
        for ago, figure in enumerate(figures, start=1):
            owner.execute(
                "INSERT INTO ops.quality_log VALUES (%s, now(), %s, %s, 1, 0, 1, true, %s)",
                [f"run-{ago}", DAY - timedelta(days=ago), check, Jsonb({"observed": figure})],
            )


def test_an_unusual_day_and_a_silent_topic_only_warn(url: str, gate: Run) -> None:
    observed(url, f"gx:raw:{TOPIC}:row_count", 41, 40, 38, 39)
    observed(url, f"gx:raw:{TOPIC}:scroll_ratio.mean", 0.5, 0.5, 0.4)
    observed(url, "gx:raw:weather:row_count", 1, 1, 1)
    observed(url, "gx:raw:inventory:row_count", 500, 500)
    load(url, events(4, scroll_ratio=0.95))
    report = gate(tables=[TOPIC, "weather", "inventory"])
    assert report.stops == []
    assert {one.name: one.details["observed"] for one in report.warnings} == {
        f"{TOPIC}:row_count": 4,
        f"{TOPIC}:scroll_ratio.mean": 0.95,
        "weather:row_count": 0,
    }


def test_history_is_the_last_run_of_each_of_the_fourteen_days_before(url: str) -> None:
    check = f"gx:raw:{TOPIC}:row_count"
    observed(url, check, *range(1, 20))
    observed(url, f"gx:features:{TOPIC}:row_count", 77)
    today = (DAY, check, Jsonb({"observed": 99}))
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO ops.quality_log VALUES "
            "('later', now() + interval '1 h', %s, %s, 1, 0, 1, true, %s), "
            "('today', now(), %s, %s, 1, 0, 1, true, %s)",
            [DAY - timedelta(days=3), check, Jsonb({"observed": 30}), *today],
        )
        history = read_history(connection, "raw", DAY)
    assert {name: dict(of) for name, of in history.items()} == {
        TOPIC: {"row_count": [14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 30, 2, 1]}
    }


def test_no_file_holds_the_password_or_a_reader(
    url: str, gate: Run, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    load(url, [*events(), reading(7, event_id="event-x", scroll_ratio=3.5)])
    with pytest.raises(GateFailed) as failure:
        gate()
    page = Path(str(failure.value.figures["docs"]))
    assert "html" in page.read_text(encoding="utf-8")
    assert page.is_relative_to(settings.home)
    password = str(conninfo_to_dict(url)["password"])
    quality = settings.home / "quality"
    assert any("3.5" in file.read_text("utf-8") for file in quality.rglob("*.json"))
    assert files_with([password, "reader-0"], quality) == set()
    assert password not in "".join(capfd.readouterr())


def test_an_online_row_out_of_range_stops(url: str, gate: Run) -> None:
    row = {"session_id": "s1", "episode_id": "e1", "completion_rate": 1.5, "dwell_time_ms": -1}
    row["avg_scroll_ratio"] = math.nan
    stamps = {"event_at": "now", "updated_at": "now", "feature_version": 1}
    rows = [{**row, **stamps, "generation": 1, "epoch": 1}]
    with psycopg.connect(url) as owner:
        owner.execute("DELETE FROM online.session_features")
    fill(url, "online", "session_features", rows)
    with pytest.raises(GateFailed) as failure:
        gate(suite="features", tables=["session_features"])
    assert stopped(failure) == {
        "completion_rate.between": (1, 1),
        "dwell_time_ms.between": (1, 1),
        "avg_scroll_ratio.between": (1, 1),
    }


@pytest.mark.slow
def test_every_online_table_is_as_declared(url: str, gate: Run) -> None:
    """A row of nothing but what must not be null, in each."""
    some = {
        ColumnType.STRING: "some",
        ColumnType.TIMESTAMP: "now",
        ColumnType.DATE: DAY,
        ColumnType.INT: 1,
        ColumnType.LONG: 1,
    }
    for view in (*VIEWS.values(), *PUBLISHED.values()):
        row = {c.name: some[c.type] for c in view.online_columns if not c.nullable}
        with psycopg.connect(url) as owner:
            owner.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier("online", view.name)))
        fill(url, "online", view.name, [row])
    report = gate(suite="features", tables=[])
    assert (report.stops, report.warnings) == ([], [])
    assert len(report.outcomes) > 600


def test_online_tables_without_a_row_only_warn(url: str, gate: Run) -> None:
    with psycopg.connect(url) as owner:
        owner.execute("DELETE FROM online.user_features_daily")
    report = gate(suite="features", tables=["user_features_daily"])
    assert [one.name for one in report.warnings] == ["features:any_rows"]
    assert report.stops == []


def test_the_marts_of_a_day_are_looked_at(url: str, gate: Run) -> None:
    make_marts(url)
    with psycopg.connect(url) as owner:
        owner.execute("ALTER TABLE marts.mart_orders DROP COLUMN discount")
        owner.execute("ALTER TABLE marts.mart_user_daily ALTER click_count TYPE text")
        owner.execute("DROP TABLE marts.mart_funnel_daily")
    other = {"event_date": DAY - timedelta(days=1), "revenue": -5.0}
    good = {"event_date": DAY, "revenue": 5.0}
    users = [{"user_id": "u1", **good}, {"user_id": "u1", **good}, {"user_id": "u2", **other}]
    fill(url, "marts", "mart_user_daily", users)
    fill(url, "marts", "mart_orders", [{"order_id": "o1", "event_date": DAY, "ordered_at": DAY}])
    with pytest.raises(GateFailed) as failure:
        gate(
            suite="marts",
            tables=["mart_user_daily", "mart_orders", "mart_funnel_daily", "mart_product_daily"],
        )
    assert stopped(failure) == {
        "None.exists": (1, 1),
        "None.columns": (1, 1),
        "discount.between": (1, 1),
        "discount.type": (1, 1),
        "click_count.type": (1, 1),
        "click_count.between": (2, 2),
        "user_id+event_date.unique": (1, 2),
    }


def test_marts_that_were_never_built_stop(url: str, gate: Run) -> None:
    with psycopg.connect(url) as owner:
        owner.execute("DROP TABLE IF EXISTS marts.mart_orders")
    with pytest.raises(GateFailed, match=r"marts:any_rows .*, mart_orders:exists") as failure:
        gate(suite="marts", tables=["mart_orders"])
    assert stopped(failure) == {"None.any_rows": (1, 1), "None.exists": (1, 1)}


@pytest.fixture
def userflow(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("USERFLOW_HOME", str(settings.home))

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, ["quality", "run", "--date", DAY.isoformat(), *words])

    return run


def test_the_command_prints_a_table_and_ends_with_1(
    url: str, settings: Settings, userflow: Callable[..., Result]
) -> None:
    load(url, events(scroll_ratio=2))
    bad = userflow("--suite", "raw", "--table", TOPIC)
    assert bad.exit_code == 1
    *_, row, summary = bad.stdout.splitlines()
    assert row.split() == [f"{TOPIC}:between", "scroll_ratio", "40", "40", "stop", "FAILED"]
    assert str(settings.home / "quality" / "raw" / "docs" / "index.html") in summary
    assert "Error: 1 of " in bad.stderr


def test_the_command_ends_with_0_where_something_only_warns(
    url: str, userflow: Callable[..., Result]
) -> None:
    with psycopg.connect(url) as owner:
        owner.execute("DELETE FROM online.user_features_daily")
    good = userflow("--suite", "features", "--table", "user_features_daily", "--json")
    assert good.exit_code == 0
    report = json.loads(good.stdout)
    assert (report["stops"], report["warnings"]) == (0, 1)
    assert date.fromisoformat(report["run_date"]) == DAY


def test_a_table_that_the_suite_has_not_is_wrong_use(userflow: Callable[..., Result]) -> None:
    assert userflow("--suite", "raw", "--table", "nope").exit_code == 2
