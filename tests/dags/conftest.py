"""A home of its own for the Airflow that these tests import, before any of them imports it."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest
from dag_bag import DAGS, read_dags

# Airflow fixes its home when it is imported, and would write below the user's.
HOME = tempfile.mkdtemp(prefix="userflow-airflow-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
os.environ["AIRFLOW_HOME"] = HOME
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(DAGS)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"


@pytest.fixture(scope="session")
def metadata() -> None:
    """Airflow's database: SQLite is enough for one process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.utils.db import initdb

        initdb()


@contextmanager
def without_retries(dag: Any) -> Iterator[None]:
    """A failure would wait for minutes, and Airflow takes pytest's alarm."""
    retries = {task: task.retries for task in dag.tasks}
    try:
        for task in retries:
            task.retries = 0
        yield
    finally:
        for task, many in retries.items():
            task.retries = many


@pytest.fixture
def run_dag(metadata: None) -> Callable[[str, date], Mapping[str, str]]:
    """Run a DAG for a day as `airflow dags test` does; returns the states of its tasks."""

    def run(name: str, day: date) -> Mapping[str, str]:
        from airflow.sdk import timezone

        dag = read_dags()[name]
        with without_retries(dag):
            begun = dag.test(logical_date=timezone.utcnow(), run_conf={"run_date": day.isoformat()})
        return {
            "run": str(begun.state),
            **{one.task_id: str(one.state) for one in begun.get_task_instances()},
        }

    return run
