"""A real Airflow on the embedded stack: up, a run, a scheduler that dies, and down."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner, Result
from stacks import settings_for

from infra.airflow_stack import AirflowStack
from infra.cli import main
from infra.endpoints import Endpoints

pytestmark = [pytest.mark.long, pytest.mark.stack, pytest.mark.timeout(600)]
WEBHOOK = "http://127.0.0.1:9/services/T0/B0/hush-as-no-file-has-it"


@pytest.fixture(scope="module")
def userflow(stack: Endpoints, stack_home: Path) -> Iterator[Callable[..., Result]]:
    environment = {"USERFLOW_HOME": str(stack_home), "USERFLOW_SLACK_WEBHOOK": WEBHOOK}

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, words, env=environment)

    yield run
    AirflowStack(settings_for(stack_home)).down()


@pytest.fixture(scope="module")
def airflow(userflow: Callable[..., Result]) -> dict[str, Any]:
    done = userflow("airflow", "up", "--json")
    assert done.exit_code == 0, done.output
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def processes(airflow: dict[str, Any]) -> list[psutil.Process]:
    parts = [psutil.Process(part["pid"]) for part in airflow["parts"].values()]
    return [one for part in parts for one in (part, *part.children(recursive=True))]


def test_it_is_on_loopback_alone_and_every_file_is_its_owners(
    airflow: dict[str, Any], stack_home: Path
) -> None:
    connections, shown = [], []
    for process in processes(airflow):
        with suppress(psutil.Error):  # a parser of DAGs that ends just now
            connections += process.net_connections("inet")
            shown.append([*process.cmdline(), *process.environ().values()])
    assert len(shown) > len(airflow["parts"])
    assert connections
    assert {one.laddr.ip for one in connections} == {"127.0.0.1"}
    assert {one.raddr.ip for one in connections if one.raddr} == {"127.0.0.1"}
    assert stat.S_IMODE((stack_home / "airflow").stat().st_mode) == 0o700
    assert "hush" not in str(shown)


def test_the_connections_are_made(airflow: dict[str, Any], stack_home: Path) -> None:
    with AirflowStack(settings_for(stack_home)).api() as api:
        known = api._call("GET", "/connections").json()["connections"]
    assert {one["connection_id"] for one in known} == {"userflow_postgres", "slack_alerts"}
    assert {one["password"] for one in known} == {"***"}


def test_a_run_is_triggered_and_shown_with_its_tasks(
    airflow: dict[str, Any], userflow: Callable[..., Result]
) -> None:
    done = userflow("airflow", "trigger", "lake_maintenance", "--date", "2026-06-01", "--json")
    assert done.exit_code == 0, done.output
    run = json.loads(done.stdout)
    assert [(one["task"], one["state"]) for one in run["tasks"]] == [
        ("optimize", "success"),
        ("vacuum", "success"),
        ("retention", "success"),
    ]
    assert userflow("airflow", "trigger", "no_such_dag").exit_code == 1


def test_status_shows_it_and_up_starts_what_died(
    airflow: dict[str, Any], userflow: Callable[..., Result]
) -> None:
    orphans = psutil.Process(airflow["parts"]["scheduler"]["pid"]).children(recursive=True)
    assert orphans
    os.kill(airflow["parts"]["scheduler"]["pid"], signal.SIGKILL)
    assert not json.loads(userflow("status", "--json").stdout)["airflow"]["scheduler"]["running"]
    again = json.loads(userflow("airflow", "up", "--json").stdout)
    assert not [one for one in orphans if one.is_running() and one.status() != "zombie"]
    assert again["url"] == airflow["url"]
    assert again["parts"]["api-server"] == airflow["parts"]["api-server"]
    assert again["parts"]["scheduler"]["running"]
    before = processes(again)
    assert userflow("airflow", "down").exit_code == 0
    psutil.wait_procs(before, timeout=10)
    assert not [one for one in before if one.is_running() and one.status() != "zombie"]
    assert json.loads(userflow("status", "--json").stdout)["airflow"] == {}
