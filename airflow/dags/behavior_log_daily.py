"""The day's behaviour log, at 01:00 UTC: collected, checked, loaded, and made into four marts.

The seven checks decide: where fewer than 99 % of the events fail none of them (setting
`pass_rate`), nothing is loaded, the run fails and Slack hears of it. What the checks found stands
in `ops.quality_log` either way.
"""

from typing import Any

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowFailException
from wiring import Step, notify_slack, shared, wire

from infra.errors import GateFailed

MARTS = ("mart_user_daily", "mart_funnel_daily", "mart_product_daily", "mart_orders")
CHECKED, LOADED, STOPPED = "quality_checks", "load_raw", "stop_pipeline"

BEFORE = {
    "collect_jsonl": Step(calls="infra.behavior_log:collect"),
    CHECKED: Step(calls="infra.behavior_log:check", after=("collect_jsonl",)),
}
AFTER = {
    LOADED: Step(calls="infra.raw_load:load_raw"),
    **{
        mart: Step(calls="infra.marts:build_marts", given={"select": (mart,)}, after=(LOADED,))
        for mart in MARTS
    },
}


@task.branch
def branch_on_quality(verdict: Any) -> str:
    """Whether enough of the day is good."""
    return LOADED if verdict["is_passed"] else STOPPED


@task
def stop_pipeline(ti: Any = None) -> None:
    """Fail the run, which tells Slack; nothing has been loaded."""
    raise AirflowFailException from GateFailed(ti.xcom_pull(task_ids=CHECKED)["problem"])


with DAG(
    "behavior_log_daily",
    schedule="0 1 * * *",
    doc_md=__doc__,
    tags=["commerce", "daily"],
    **shared(),
):
    checked = wire(BEFORE)[CHECKED]
    loaded = wire(AFTER)
    branch_on_quality(checked) >> [loaded[LOADED], stop_pipeline()]
    [loaded[mart] for mart in MARTS] >> notify_slack()
