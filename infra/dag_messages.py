"""What runs of DAGs tell people: to Slack, or to the log; and the day that a run is about.

The webhook is that of Airflow's connection `slack_alerts`, else of our own settings; with neither,
messages are logged. Nothing here fails a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote

import structlog
from airflow.sdk import Connection
from airflow.sdk.configuration import conf
from airflow.sdk.exceptions import AirflowException, AirflowRuntimeError
from pydantic import SecretStr

from infra.errors import UserflowError
from infra.settings import Settings, load_settings
from infra.slack import Message, post

__all__ = ["CONNECTION", "asked_date_of", "run_date_of", "tell_failure", "tell_success", "webhook"]

CONNECTION = "slack_alerts"
# Where Slack's webhooks are, for a connection that holds the secret part alone.
SLACK = "https://hooks.slack.com/services"
# A task waits for its message; the campaign of retries is for messages without a log behind them.
GIVE_UP_S = 20.0
log = structlog.get_logger()


def run_date_of(dag_run: Any) -> date:
    """The run's parameter `run_date`, else the UTC day before the run.

    Not Airflow's `ds`, which is the day of the run, and which a manual run does not have.
    """
    ran_at: datetime = dag_run.run_after.astimezone(UTC)
    return asked_date_of(dag_run) or (ran_at - timedelta(days=1)).date()


def asked_date_of(dag_run: Any) -> date | None:
    """The run's parameter `run_date`, if it has one."""
    given = (dag_run.conf or {}).get("run_date")
    return date.fromisoformat(given) if given else None


def tell_failure(context: Mapping[str, Any]) -> None:
    """A task failed for good: which one, of which day, and why; unless it has told that itself."""
    task, cause = context["ti"], _cause(context.get("exception"))
    if isinstance(cause, UserflowError) and cause.is_told:
        log.info("failed_as_told", dag=task.dag_id, task=task.task_id)
        return
    _tell(
        Message(
            title=f"{task.dag_id} failed at {task.task_id}",
            what=f"Run date {run_date_of(context['dag_run'])}. {_why(context.get('exception'))}",
            look=f"The log of run {task.run_id} tells more. After the cause is gone, run it again: "
            f"`userflow airflow trigger {task.dag_id} --date {run_date_of(context['dag_run'])}`.",
            link=_run_url(task),
        )
    )


def tell_success(context: Mapping[str, Any]) -> None:
    """A run has done all it should."""
    task = context["ti"]
    _tell(
        Message(
            title=f"{task.dag_id} is done",
            what=f"Run date {run_date_of(context['dag_run'])}.",
            look=f"Run {task.run_id}.",
            link=_run_url(task),
        )
    )


def _why(error: object) -> str:
    """Sentences of ours are for people; the text of any other error may hold what is secret."""
    cause = _cause(error)
    if isinstance(cause, UserflowError):
        return str(cause)
    return f"It ended with {type(cause or error).__name__}." if error else "It was ended."


def _cause(error: object) -> object:
    """What a task of ours raised it from."""
    return error.__cause__ if isinstance(error, AirflowException) else error


def _run_url(task: Any) -> str | None:
    base: str | None = conf.get("api", "base_url", fallback=None)
    if not base:
        return None
    return f"{base.rstrip('/')}/dags/{quote(task.dag_id)}/runs/{quote(task.run_id, safe='')}"


def _tell(message: Message) -> None:
    try:
        post(webhook(load_settings()), message, give_up_s=GIVE_UP_S)
    except UserflowError as error:
        log.warning("message_not_sent", problem=type(error).__name__, title=message.title)


def webhook(settings: Settings) -> SecretStr | None:
    """Where a task sends messages: the connection's webhook, else that of the settings.

    The connection is read as Slack's provider reads it: its password is the whole address, or what
    follows the host.
    """
    try:
        connection = Connection.get(CONNECTION)
    except (AirflowException, AirflowRuntimeError) as error:
        log.debug("no_connection", connection=CONNECTION, problem=type(error).__name__)
        return settings.slack_webhook
    secret = connection.password or ""
    if secret.startswith(("https://", "http://")):
        return SecretStr(secret)
    host = (connection.host or SLACK).rstrip("/")
    return SecretStr(f"{host}/{secret}") if secret else settings.slack_webhook
