"""Great Expectations on the newest raw events and on `session_features`, every quarter of an hour.

Each gate writes `ops.quality_log`; one that says stop fails the run, and Slack hears of it.
"""

from airflow.sdk import DAG
from wiring import Step, shared, wire

STEPS = {
    "raw_events": Step(calls="infra.quality:run_suite", given={"suite": "raw"}),
    "session_features": Step(calls="infra.quality:run_suite", given={"suite": "features"}),
}

with DAG(
    "quality_monitor",
    schedule="*/15 * * * *",
    doc_md=__doc__,
    tags=["quality"],
    **shared(),
):
    wire(STEPS)
