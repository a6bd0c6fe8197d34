"""An Airflow of a home without starting one: its files, its address, and how its API is read."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from configparser import ConfigParser
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from infra.airflow_stack import AirflowApi, AirflowStack, Run
from infra.airflow_stack.config import write_config, write_settings
from infra.airflow_stack.database import _url
from infra.airflow_stack.orphans import end_orphans
from infra.errors import RunRefused, ServiceError, StackNotUp
from infra.settings import Settings, load_settings
from infra.stack.credentials import Credentials

METADATA = "postgresql+psycopg://userflow_airflow:hush@127.0.0.1:5432/airflow"
RUN = {"dag_run_id": "manual__1+00:00", "state": "queued"}


def read_config(file: Path) -> dict[str, dict[str, str]]:
    """As Airflow reads it, with references."""
    config = ConfigParser()
    config.read(file, encoding="utf-8")
    return {name: dict(config[name]) for name in config.sections()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The name is one that a parser of references would stumble over."""
    folder = tmp_path / "100%s hömé" / "airflow"
    credentials = Credentials(tmp_path / "secrets.json")
    for _ in range(2):  # as at a second start
        write_config(folder, metadata=METADATA, port=8080, credentials=credentials)
    return folder


def test_the_configuration_is_what_airflow_reads_and_only_the_owner_too(folder: Path) -> None:
    config = read_config(folder / "airflow.cfg")
    assert config["core"]["load_examples"] == "False"
    assert config["database"]["sql_alchemy_conn_async"] == METADATA
    assert config["api"]["host"] == "127.0.0.1"
    assert config["logging"]["base_log_folder"] == str(folder / "logs")
    for file in folder.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file


def test_keys_and_password_stay_what_they_are(folder: Path, tmp_path: Path) -> None:
    before = {file.name: file.read_text("utf-8") for file in folder.iterdir()}
    known = Credentials(tmp_path / "secrets.json")
    write_config(folder, metadata=METADATA, port=8080, credentials=known)
    assert {file.name: file.read_text("utf-8") for file in folder.iterdir()} == before
    assert json.loads(before["passwords.json"]) == {"admin": known.known()["airflow_admin"]}


def test_tasks_have_the_settings_of_the_process_that_started_airflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(
        home=tmp_path / "hömé 🏠",
        postgres='postgresql://u:p"\\w@h/d',
        watchdog_lag=7,
        slack_webhook=SecretStr("https://hooks.example/T0"),
    )
    write_settings(tmp_path / "here", settings)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("USERFLOW_HOME", raising=False)
    assert load_settings() == settings


def test_no_environment_and_no_command_line_holds_a_secret(tmp_path: Path) -> None:
    stack = AirflowStack(
        Settings(home=tmp_path, slack_webhook=SecretStr("https://hooks.example/T0"))
    )
    service = stack._service("scheduler")
    assert {*service.environment} <= {"AIRFLOW_HOME", "PYTHONPATH", "JAVA_HOME"}
    assert "hooks.example" not in f"{service.command}{service.environment}"


def test_an_airflow_that_never_ran_is_said_to_be_none(tmp_path: Path) -> None:
    stack = AirflowStack(Settings(home=tmp_path))
    stack.down()
    assert stack.status() == {}
    with pytest.raises(StackNotUp, match="userflow airflow up"):
        stack.api()


@pytest.mark.parametrize(
    ("owner", "url"),
    [
        (
            "postgresql://userflow:p@127.0.0.1:5433/userflow",
            "postgresql+psycopg://userflow_airflow:a%2Fb@127.0.0.1:5433/airflow",
        ),
        (
            "postgresql://userflow@db/userflow?sslmode=require",
            "postgresql+psycopg://userflow_airflow:a%2Fb@db:5432/airflow?sslmode=require",
        ),
    ],
)
def test_the_metadata_are_beside_our_database(owner: str, url: str) -> None:
    assert _url(owner, "a/b") == url


class Answers(httpx.MockTransport):
    """An API server that knows the given paths, and what was sent to it."""

    def __init__(self, known: dict[str, Any]) -> None:
        self.sent: list[tuple[str, str, Any]] = []

        def answer(request: httpx.Request) -> httpx.Response:
            path = request.url.raw_path.decode().removeprefix("/api/v2").partition("?")[0]
            if path == "/auth/token":
                return httpx.Response(201, json={"access_token": "token"})
            assert request.headers["authorization"] == "Bearer token"
            self.sent.append((request.method, path, json.loads(request.content or "null")))
            found = known.get(f"{request.method} {path}")
            if found is None:
                return httpx.Response(404, json={"detail": "not found"})
            return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)

        super().__init__(answer)


def api_of(**known: Any) -> tuple[AirflowApi, Answers]:
    answers = Answers({name.replace("_", " ", 1): value for name, value in known.items()})
    return AirflowApi("http://127.0.0.1:1", "password", answers), answers


def test_a_run_begins_with_its_date_and_without_a_logical_one() -> None:
    api, answers = api_of(**{"GET_/dags/d": {"is_paused": False}, "POST_/dags/d/dagRuns": RUN})
    assert api.trigger("d", date(2026, 7, 1)).run_id == "manual__1+00:00"
    assert answers.sent[-1][2] == {"logical_date": None, "conf": {"run_date": "2026-07-01"}}
    api.trigger("d", None)
    assert answers.sent[-1][2] == {"logical_date": None, "conf": {}}


def test_what_cannot_run_is_refused() -> None:
    refused = httpx.Response(400, json={"detail": "run_date is no date"})
    api, _ = api_of(
        **{
            "GET_/dags": {"dags": [{"dag_id": "b"}, {"dag_id": "a"}]},
            "GET_/dags/paused": {"is_paused": True},
            "GET_/dags/bad": {"is_paused": False},
            "POST_/dags/bad/dagRuns": refused,
            "GET_/dags/broken": httpx.Response(500),
        }
    )
    for dag, said in (("none", "it has a, b"), ("paused", "paused"), ("bad", "is no date")):
        with pytest.raises(RunRefused, match=said):
            api.trigger(dag, None)
    with pytest.raises(ServiceError, match="500"):
        api.trigger("broken", None)


def test_a_run_is_waited_for_and_its_tasks_are_in_the_order_in_which_they_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("infra.airflow_stack.api.LOOK_EVERY_S", 0)
    names = ("task_id", "state", "start_date", "duration")
    rows = [("c", None, None, None), ("b", "failed", "2", 1.5), ("a", "success", "1", 2.0)]
    place = "GET_/dags/d/dagRuns/manual__1%2B00%3A00"
    tasks = {"task_instances": [dict(zip(names, row, strict=True)) for row in rows]}
    api, _ = api_of(**{place: {"state": "failed"}, f"{place}/taskInstances": tasks})
    seen: list[Run] = []
    run = api.wait(Run(dag="d", run_id=RUN["dag_run_id"], state="queued"), seen.append)
    assert [one.task for one in run.tasks] == ["a", "b", "c"]
    assert (run.state, seen) == ("failed", [run])


def test_an_api_that_does_not_answer_is_said_to_need_a_start() -> None:
    with (
        AirflowApi("http://127.0.0.1:1", "password") as api,
        pytest.raises(ServiceError, match="userflow airflow up"),
    ):
        api.dags()


def test_orphans_are_those_of_airflow_in_that_folder_alone(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
    started = {}
    for folder, title in ((here, "airflow worker --"), (there, "airflow worker --"), (here, "vi")):
        folder.mkdir(exist_ok=True)
        command = [title, "-c", program]
        started[folder, title] = subprocess.Popen(command, executable=sys.executable, cwd=folder)
    try:
        assert end_orphans(here) == 1
        ended = {name for name, one in started.items() if one.poll() is not None}
        assert ended == {(here, "airflow worker --")}
        assert end_orphans(here) == 0
    finally:
        for one in started.values():
            one.kill()
            one.wait()
