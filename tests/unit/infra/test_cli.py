"""The command line starts fast, and fails with a sentence and the right exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from infra import cli
from infra.errors import CheckpointMismatch, ServiceError, UserflowError

HEAVY = ("pyspark", "polars", "pandas", "psycopg", "confluent_kafka", "pydantic", "rich")


def test_help_lists_exactly_the_commands_that_can_be_loaded() -> None:
    context = click.Context(cli.main)
    for name in cli.main.list_commands(context):
        assert isinstance(cli.main.get_command(context, name), click.Command)
    result = CliRunner().invoke(cli.main, ["--help"])
    assert result.exit_code == 0
    assert "  up " in result.output


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from infra.cli import main; main(['--help'], standalone_mode=False); "
        f"sys.exit(', '.join(m for m in {HEAVY!r} if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_status_imports_what_it_shows_and_no_more(tmp_path: Path) -> None:
    """In a home where nothing runs; a look at it should take no longer than a blink."""
    others = ("pyspark", "polars", "pandas", "pyarrow", "httpx", "structlog", "fastapi")
    code = (
        "import sys; from infra.cli import main; main(['status'], standalone_mode=False); "
        f"sys.exit(', '.join(m for m in {others!r} if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "USERFLOW_HOME": str(tmp_path)},
    )
    assert "does not answer" in done.stdout
    assert done.stderr.strip() == ""


def test_every_command_has_help() -> None:
    for name in cli.main.list_commands(click.Context(cli.main)):
        assert CliRunner().invoke(cli.main, [name, "--help"]).exit_code == 0, name


def test_wrong_use_is_exit_code_2() -> None:
    assert CliRunner().invoke(cli.main, ["no-such-command"]).exit_code == 2
    assert CliRunner().invoke(cli.main, ["status", "--no-such-option"]).exit_code == 2


@pytest.mark.parametrize(("error", "code"), [(ServiceError, 1), (CheckpointMismatch, 3)])
def test_an_error_of_ours_is_one_sentence_and_its_exit_code(
    error: type[UserflowError], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def failing() -> None:
        raise error("Kafka is asleep: wake it.")

    monkeypatch.setattr(type(cli.main), "get_command", lambda *_: failing)
    result = CliRunner().invoke(cli.main, ["status"])
    assert result.exit_code == code
    assert result.output == "Error: Kafka is asleep: wake it.\n"


def test_the_catalogue_is_listed_and_shown() -> None:
    listed = json.loads(CliRunner().invoke(cli.main, ["features", "list", "--json"]).output)
    by_view = {row["view"]: row["features"] for row in listed}
    assert by_view["commerce_user_features"] == 118
    shown = CliRunner().invoke(cli.main, ["features", "show", "commerce_user_features", "--json"])
    names = [column["name"] for column in json.loads(shown.output)["features"]]
    assert len(names) == 118
    assert "top_category_30m" in names
    one = CliRunner().invoke(cli.main, ["features", "show", "view_count_1h"])
    assert "Products viewed." in one.output
    of_day = CliRunner().invoke(cli.main, ["features", "show", "related_products", "--json"])
    *_, products = json.loads(of_day.output)["features"]
    assert [item["name"] for item in products["items"]] == ["product_id", "users", "score"]
    assert by_view["user_features_daily"] == 6
    assert "churn" in CliRunner().invoke(cli.main, ["features", "show", "churn_risk_score"]).output
    wrong = CliRunner().invoke(cli.main, ["features", "show", "comerce_user_features"])
    assert wrong.exit_code == 2
    assert "commerce_user_features" in wrong.output
