"""What runs tell Slack, through Airflow's own code where a context comes from it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from fake_slack import PATH, Slack, slack
from structlog.testing import capture_logs

from infra import dag_messages
from infra.dag_messages import asked_date_of, run_date_of, tell_failure, tell_success
from infra.errors import GateFailed

BASE_URL = "http://127.0.0.1:8080"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("USERFLOW_HOME", str(tmp_path))
    monkeypatch.delenv("USERFLOW_SLACK_WEBHOOK", raising=False)
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", BASE_URL)
    return tmp_path


@pytest.fixture
def receiver() -> Iterator[Slack]:
    with slack() as fake:
        yield fake


def run_of(run_date: str | None = None, run_after: str = "2026-07-02T01:00:00+00:00") -> Any:
    conf = {"run_date": run_date} if run_date else None
    return SimpleNamespace(conf=conf, run_after=datetime.fromisoformat(run_after))


def context_of(error: BaseException | None = None, **dag_run: str) -> Mapping[str, Any]:
    task = SimpleNamespace(
        dag_id="behavior_log_daily", task_id="load_raw", run_id="manual__1+00:00"
    )
    return {"ti": task, "dag_run": run_of(**dag_run), "exception": error}


def text_of(body: Any) -> str:
    return str(body["blocks"][0]["text"]["text"])


def connect(monkeypatch: pytest.MonkeyPatch, **fields: str) -> None:
    """Make the connection `slack_alerts`, as Airflow reads it from the environment."""
    document = {"conn_type": "slackwebhook", **fields}
    monkeypatch.setenv("AIRFLOW_CONN_SLACK_ALERTS", json.dumps(document))


@pytest.mark.parametrize(
    ("given", "run_after", "day"),
    [
        (None, "2026-07-02T01:00:00+00:00", date(2026, 7, 1)),
        (None, "2026-07-02T00:00:00+00:00", date(2026, 7, 1)),
        (None, "2026-07-02T08:59:59+09:00", date(2026, 6, 30)),
        ("2026-05-01", "2026-07-02T01:00:00+00:00", date(2026, 5, 1)),
    ],
)
def test_the_run_date_is_the_parameter_or_the_utc_day_before_the_run(
    given: str | None, run_after: str, day: date
) -> None:
    assert run_date_of(run_of(given, run_after)) == day


def test_a_run_that_asks_for_a_day_is_known_from_one_that_does_not() -> None:
    assert asked_date_of(run_of("2026-05-01")) == date(2026, 5, 1)
    assert asked_date_of(run_of()) is None


def test_the_connections_webhook_comes_first(
    receiver: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USERFLOW_SLACK_WEBHOOK", "http://127.0.0.1:1/nobody-listens")
    connect(monkeypatch, password=receiver.url)
    tell_success(context_of(run_date="2026-07-01"))
    assert receiver.titles == ["behavior_log_daily is done"]
    assert "2026-07-01" in text_of(receiver.bodies[0])
    assert f"{BASE_URL}/dags/behavior_log_daily/runs/manual__1%2B00%3A00" in str(receiver.bodies[0])


def test_a_connection_may_hold_the_host_and_the_secret_apart(
    receiver: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, host=receiver.url.removesuffix(PATH), password=PATH.removeprefix("/"))
    tell_success(context_of())
    assert len(receiver.bodies) == 1


def test_without_a_connection_the_setting_counts(
    receiver: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USERFLOW_SLACK_WEBHOOK", receiver.url)
    tell_success(context_of())
    assert len(receiver.bodies) == 1


def test_with_neither_the_message_is_logged() -> None:
    with capture_logs() as lines:
        tell_success(context_of())
    assert [line["title"] for line in lines if line["event"] == "message"] == [
        "behavior_log_daily is done"
    ]


def failed(cause: BaseException) -> BaseException:
    """As a task of ours raises it."""
    error = AirflowFailException(str(cause))
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (failed(GateFailed("98.00% pass where 99.00% must.")), "98.00% pass"),
        (GateFailed("98.00% pass where 99.00% must."), "98.00% pass"),
        (ValueError("password=hush"), "It ended with ValueError."),
        (failed(ValueError("password=hush")), "It ended with ValueError."),
        (None, "It was ended."),
    ],
)
def test_a_failure_says_our_sentences_and_of_others_the_name_alone(
    receiver: Slack, monkeypatch: pytest.MonkeyPatch, error: BaseException | None, says: str
) -> None:
    connect(monkeypatch, password=receiver.url)
    tell_failure(context_of(error, run_date="2026-07-01"))
    (body,) = receiver.bodies
    assert body["text"] == "behavior_log_daily failed at load_raw"
    assert says in text_of(body)
    assert "hush" not in str(body)
    assert "userflow airflow trigger behavior_log_daily --date 2026-07-01" in text_of(body)


def test_a_failure_that_was_told_already_is_not_told_again(
    receiver: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch, password=receiver.url)
    told = GateFailed("1 of 9 expectations failed.")
    told.is_told = True
    tell_failure(context_of(failed(told)))
    assert receiver.bodies == []


@pytest.mark.parametrize("answer", [(404, {}, 0), (500, {"retry-after": "9999"}, 0)])
def test_a_failure_of_slack_fails_nothing_and_is_logged_without_the_address(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[int, dict[str, str], float]
) -> None:
    with slack(answer) as receiver, capture_logs() as lines:
        connect(monkeypatch, password=receiver.url)
        tell_failure(context_of(ValueError()))
    assert any(line["event"] == "message_not_sent" for line in lines)
    assert PATH not in str(lines)


def test_a_slack_that_is_gone_fails_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dag_messages, "GIVE_UP_S", 0.1)
    connect(monkeypatch, password="http://127.0.0.1:1/nobody-listens")
    tell_success(context_of())


def test_settings_that_cannot_be_read_fail_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USERFLOW_SLACK_WEBHOOK", "not-an-address")
    with capture_logs() as lines:
        tell_success(context_of())
    assert [line["problem"] for line in lines if line["event"] == "message_not_sent"] == [
        "SettingsError"
    ]
