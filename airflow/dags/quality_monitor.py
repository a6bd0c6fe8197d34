"""Great Expectations on the newest raw events and on `session_features`, every quarter of an hour.

Each gate writes `ops.quality_log`; one that says stop fails the run. Slack hears of each failure
once, and once when it is over. The run date is the newest one that was loaded, unless a run asks
for another.
"""

from airflow.sdk import DAG
from wiring import Step, shared, wire

GATE = "infra.quality_monitor:monitor"

STEPS = {
    "raw_events": Step(calls=GATE, given={"suite": "raw"}, dated="asked", tells=True),
    "session_features": Step(
        calls=GATE,
        given={"suite": "features", "tables": ("session_features",)},
        dated="asked",
        tells=True,
    ),
}

with DAG(
    "quality_monitor",
    schedule="*/15 * * * *",
    doc_md=__doc__,
    tags=["quality"],
    **shared(),
):
    wire(STEPS)
