"""The shop's day, at 02:00 UTC.

The raw events of the day pass their gate; Spark makes sessions, daily metrics and products of
them, and sums up the transactions; from both come segments and the features of recommendations
over 30 days; then the warehouse gets the day's figures, readers get the segments and features
online, and Slack hears of it. Every step replaces what it wrote for that day, so any of them may be
run again.
"""

from airflow.sdk import DAG
from wiring import Step, notify_slack, shared, wire

SPARK = "infra.daily_jobs:run_daily"
PROCESSED = ("process_events", "aggregate_transactions")
DERIVED = ("user_segments", "recommendation_features")

STEPS = {
    "validate_raw": Step(calls="infra.quality:run_suite", given={"suite": "raw"}),
    "process_events": Step(
        calls=SPARK, given={"name": "process_daily_events"}, after=("validate_raw",)
    ),
    "aggregate_transactions": Step(
        calls=SPARK, given={"name": "aggregate_transactions"}, after=("validate_raw",)
    ),
    "user_segments": Step(calls=SPARK, given={"name": "user_segments"}, after=PROCESSED),
    "recommendation_features": Step(
        calls=SPARK, given={"name": "recommendation_features"}, after=PROCESSED
    ),
    "load_warehouse": Step(calls="infra.warehouse:load_warehouse", after=DERIVED),
    "quality_report": Step(calls="infra.quality_report:report", after=("load_warehouse",)),
}

with DAG(
    "ecommerce_etl_daily",
    schedule="0 2 * * *",
    doc_md=__doc__,
    tags=["commerce", "daily"],
    **shared(),
):
    wire(STEPS)["quality_report"] >> notify_slack()
