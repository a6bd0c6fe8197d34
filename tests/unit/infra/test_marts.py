"""What dbt is told and what it answers, without dbt."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import psycopg
import pytest
import yaml
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo

from infra.cli import main
from infra.dbt_files import STAGING, generated_files
from infra.dbt_process import PROJECT, NodeResult, _environment, _pgpass_line
from infra.endpoints import Endpoints
from infra.errors import MartsFailed
from infra.marts import MartBuilt, MartsBuilt, _require_success, build_marts
from infra.settings import Settings

MODELS = sorted((PROJECT / "models").rglob("*.sql"))


def result(
    name: str, *, kind: str = "model", status: str = "success", message: str = ""
) -> NodeResult:
    return NodeResult(name=name, kind=kind, status=status, rows=1, seconds=0.5, message=message)


def test_the_generated_models_are_current() -> None:
    written = {path: path.read_text("utf-8") for path in generated_files()}
    assert written == generated_files(), "run: python -m infra.dbt_files"
    assert set(STAGING.glob("*.sql")) < set(written)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.stem)
def test_a_model_is_described_beside_it_with_its_grain(model: Path) -> None:
    (described,) = yaml.safe_load(model.with_suffix(".yml").read_text("utf-8"))["models"]
    assert described["name"] == model.stem
    assert "Grain: " in described["description"]
    if model.parent.name == "marts":
        assert any("has_grain" in test for test in described["data_tests"])
        assert all(column["data_type"] and column["description"] for column in described["columns"])


def test_what_failed_is_told_in_sentences_without_the_details() -> None:
    error = (
        "Database Error in model mart_orders (models/marts/mart_orders.sql)\n"
        '  duplicate key value violates unique constraint "mart_orders_pkey"\n'
        "  DETAIL:  Key (event_date, order_id)=(2026-03-01, secret) already exists."
    )
    results = [
        result("mart_orders", status="error", message=error),
        result(
            "has_grain",
            kind="test",
            status="fail",
            message="Got 3 results, configured to fail if != 0",
        ),
        result("fact_daily_metrics", status="skipped"),
        result("mart_user_daily"),
    ]
    with pytest.raises(MartsFailed) as failed:
        _require_success(results)
    assert str(failed.value) == (
        "Model mart_orders failed: duplicate key value violates unique constraint "
        '"mart_orders_pkey". '
        "Test has_grain failed: Got 3 results, configured to fail if != 0."
    )


def test_of_many_failures_the_first_are_told() -> None:
    results = [result(f"m{number}", status="error", message="no") for number in range(8)]
    with pytest.raises(MartsFailed, match=r"Model m4 failed: no\. 3 more failed\.$"):
        _require_success(results)


def test_dbt_gets_the_address_but_never_the_password() -> None:
    url = "postgresql://me:s:e\\c@db:5433/shop?sslmode=require&options=-c%20a.b%3D1"
    environment = _environment(psycopg.conninfo.conninfo_to_dict(url))
    assert environment == {
        "PGSSLMODE": "require",
        "USERFLOW_DBT_HOST": "db",
        "USERFLOW_DBT_PORT": "5433",
        "USERFLOW_DBT_USER": "me",
        "USERFLOW_DBT_DATABASE": "shop",
        "PGOPTIONS": "-c a.b=1 -c work_mem=64MB",
    }
    assert _pgpass_line("s:e\\c") == "*:*:*:*:s\\:e\\\\c\n"


def test_the_figures_are_public() -> None:
    built = MartsBuilt(
        run_date=date(2026, 3, 1),
        event_dates=(date(2026, 2, 28), date(2026, 3, 1)),
        marts=(MartBuilt(name="mart_orders", rows=1200, seconds=0.123),),
        tests=2,
        seconds=5.678,
    )
    assert built.to_json() == {
        "run_date": "2026-03-01",
        "event_dates": ["2026-02-28", "2026-03-01"],
        "marts": {"mart_orders": {"rows": 1200, "seconds": 0.12}},
        "tests": 2,
        "seconds": 5.68,
    }
    assert built.lines()[0] == "mart_orders: 1,200 rows (0.1 s)"


def test_a_database_that_is_away_is_one_sentence(tmp_path: Path) -> None:
    away = make_conninfo("postgresql://me@127.0.0.1:1/shop", connect_timeout=1)
    Endpoints(kafka="", postgres=away, redis="", lake="").write(tmp_path)
    with pytest.raises(MartsFailed, match=r"run date 2026-03-01 .* \(OperationalError\)"):
        build_marts(Settings(home=tmp_path), date(2026, 3, 1))


def test_a_name_that_is_no_mart_is_refused(tmp_path: Path) -> None:
    asked = CliRunner().invoke(main, ["marts", "--select", "mart_order"])
    assert asked.exit_code == 2
    assert "mart_order is no mart; these are: content_quality, " in asked.output
    with pytest.raises(MartsFailed, match=r"^int_reads is no mart; these are: "):
        build_marts(Settings(home=tmp_path), date(2026, 3, 1), ["int_reads"])
