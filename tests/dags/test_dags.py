"""The DAGs as Airflow reads them: without an error, with the shared defaults, and with the arrows
that are drawn.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from datetime import timedelta
from typing import Any

import pytest
from dag_bag import DAGS, read_dags

from infra.dag_messages import tell_failure, tell_success
from infra.quality_monitor import MONITORED

MARTS = "mart_user_daily mart_funnel_daily mart_product_daily mart_orders"
# DAG, schedule, arrows: what stands at the left of one comes before all that stands at the right.
DRAWN = {
    "ecommerce_etl_daily": (
        "0 2 * * *",
        """
        validate_raw -> process_events aggregate_transactions
        process_events aggregate_transactions -> user_segments recommendation_features
        user_segments recommendation_features -> load_warehouse
        load_warehouse -> quality_report
        quality_report -> notify_slack
        """,
    ),
    "behavior_log_daily": (
        "0 1 * * *",
        f"""
        collect_jsonl -> quality_checks
        quality_checks -> branch_on_quality
        branch_on_quality -> load_raw stop_pipeline
        load_raw -> {MARTS}
        {MARTS} -> notify_slack
        """,
    ),
    "feature_store_hourly": (
        "20 * * * *",
        """
        build_features -> quality_gate
        quality_gate -> publish_online
        """,
    ),
    "quality_monitor": ("*/15 * * * *", "raw_events\nsession_features"),
    "stream_watchdog": ("*/5 * * * *", "watch_streams"),
    "lake_maintenance": ("0 */4 * * *", "optimize -> vacuum\nvacuum -> retention"),
}
# Who tells that all went well: a task of its own where one is drawn, else the last one.
TELLING = {
    "ecommerce_etl_daily": "notify_slack",
    "behavior_log_daily": "notify_slack",
    "feature_store_hourly": "publish_online",
    "lake_maintenance": "retention",
    "quality_monitor": None,
    "stream_watchdog": None,
}


@pytest.fixture(scope="module")
def dags() -> dict[str, Any]:
    return read_dags()


def arrows(drawing: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in drawing.strip().splitlines():
        left, _, right = line.partition("->")
        for task in left.split():
            found.setdefault(task, set()).update(right.split())
        for task in right.split():
            found.setdefault(task, set())
    return found


def test_the_six_are_there_and_each_file_holds_one(dags: dict[str, Any]) -> None:
    assert set(dags) == set(DRAWN)
    assert {file.stem for file in DAGS.glob("*.py")} == {*DRAWN, "wiring"}


@pytest.mark.parametrize("name", DRAWN)
def test_the_arrows_are_those_that_are_drawn(dags: dict[str, Any], name: str) -> None:
    schedule, drawing = DRAWN[name]
    found = {task.task_id: set(task.downstream_task_ids) for task in dags[name].tasks}
    assert found == arrows(drawing)
    assert dags[name].schedule == schedule


@pytest.mark.parametrize("name", DRAWN)
def test_every_dag_has_the_shared_defaults(dags: dict[str, Any], name: str) -> None:
    dag = dags[name]
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert len(dag.doc_md) > 100
    assert dag.tags
    assert dag.params.get_param("run_date").schema["format"] == "date"
    for task in dag.tasks:
        assert task.owner == "data-team"
        assert task.retries == 2
        assert task.execution_timeout == timedelta(hours=2)
        assert list(task.on_failure_callback) == [tell_failure]


@pytest.mark.parametrize("name", DRAWN)
def test_the_end_is_told_where_it_is_drawn(dags: dict[str, Any], name: str) -> None:
    telling = {
        task.task_id for task in dags[name].tasks if tell_success in task.on_success_callback
    }
    assert telling | ({"notify_slack"} & set(dags[name].task_ids)) == {TELLING[name]} - {None}


def test_what_the_tables_call_exists_and_takes_what_it_is_given(dags: dict[str, Any]) -> None:
    rows = [
        task.op_kwargs["row"]
        for dag in dags.values()
        for task in dag.tasks
        if "row" in getattr(task, "op_kwargs", {})
    ]
    assert len(rows) == 23
    missing = {module for row in rows if not is_there(module := row["calls"].partition(":")[0])}
    for row in rows:
        module, _, name = row["calls"].partition(":")
        if module in missing:
            continue
        dated = {"run_date": None} if row["dated"] != "never" else {}
        function = getattr(importlib.import_module(module), name)
        inspect.signature(function).bind(settings=None, **dated, **row["given"])
    if missing:
        pytest.skip(f"not there yet: {', '.join(sorted(missing))}")


def test_the_monitor_looks_at_what_the_command_looks_at(dags: dict[str, Any]) -> None:
    given = [task.op_kwargs["row"]["given"] for task in dags["quality_monitor"].tasks]
    assert {one["suite"]: one.get("tables", ()) for one in given} == MONITORED


def is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
