"""What all DAGs share: their defaults, the run date, and rows of a table that become tasks.

Airflow reads this every half a minute, so nothing heavy is imported here: a task imports what it
calls. A task that is retried does the same again, since everything it calls is idempotent.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from airflow.sdk import Param, XComArg, task
from airflow.sdk.exceptions import AirflowFailException

from infra.dag_messages import asked_date_of, run_date_of, tell_failure, tell_success, webhook
from infra.errors import GateFailed, SettingsError, SetupError, UserflowError
from infra.settings import load_settings

__all__ = ["Step", "notify_slack", "shared", "wire"]

OWNER = "data-team"
PARAMETER = "The day that is processed; the UTC day before the run when it is left empty."


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A task as a row: `calls` a function, `module:name`, with the settings, a run date, and
    `given`; `after`: the tasks that it waits for. `tells`: it writes to Slack itself; for all
    others the run does, once.

    `dated`: the run date is the day before where nobody asks for another, or only one that is
    `asked` for (else None), or the function takes none.
    """

    calls: str
    given: Mapping[str, object] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    dated: Literal["always", "asked", "never"] = "always"
    tells: bool = False


def shared() -> dict[str, Any]:
    """The arguments that every DAG has."""
    return {
        "catchup": False,
        "max_active_runs": 1,
        "params": {
            "run_date": Param(None, type=["null", "string"], format="date", description=PARAMETER)
        },
        "default_args": {
            "owner": OWNER,
            "retries": 2,
            "retry_delay": timedelta(minutes=5),
            "execution_timeout": timedelta(hours=2),
            "on_failure_callback": tell_failure,
        },
    }


def wire(steps: Mapping[str, Step], *, last: str | None = None) -> dict[str, XComArg]:
    """The tasks of a table by their ids; the one that is `last` tells Slack that all went well."""
    tasks = {
        name: run_step.override(
            task_id=name, on_success_callback=tell_success if name == last else None
        )(row=dataclasses.asdict(step))
        for name, step in steps.items()
    }
    for name, step in steps.items():
        for before in step.after:
            tasks[before].set_downstream(tasks[name])
    return tasks


# Figures may hold examples of what is wrong, which are ids: no line of a log shows them.
@task(show_return_value_in_logs=False)
def run_step(*, row: dict[str, Any], dag_run: Any = None) -> Any:
    """A row of a table as it runs; returns its figures as plain values.

    What another try would not mend fails for good.
    """
    module, _, name = row["calls"].partition(":")
    function = getattr(importlib.import_module(module), name)
    days = {"always": run_date_of, "asked": asked_date_of}
    dated = {"run_date": days[row["dated"]](dag_run)} if row["dated"] in days else {}
    try:
        settings = load_settings()
        told = {"slack_webhook": webhook(settings) if row["tells"] else None}
        return _plain(function(settings=settings.model_copy(update=told), **dated, **row["given"]))
    except UserflowError as error:
        if error.is_told or isinstance(error, GateFailed | SettingsError | SetupError):
            raise AirflowFailException(str(error)) from error
        raise


@task
def notify_slack(**context: Any) -> None:
    """The end of a pipeline, where it is drawn as a task of its own."""
    tell_success(context)


def _plain(figures: Any) -> Any:
    """What the next task and the UI can read: JSON."""
    if hasattr(figures, "to_json"):
        figures = figures.to_json()
    elif dataclasses.is_dataclass(figures) and not isinstance(figures, type):
        figures = dataclasses.asdict(figures)
    return json.loads(json.dumps(figures, default=str))
