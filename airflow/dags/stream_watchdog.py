"""Looks at the streams every five minutes: how far they lag, when the last epoch was, how often
they were started again. Slack hears of each trouble once, and once when it is over.
"""

from airflow.sdk import DAG
from wiring import Step, shared, wire

STEPS = {"watch_streams": Step(calls="infra.watchdog:watch", dated="never", tells=True)}

with DAG(
    "stream_watchdog",
    schedule="*/5 * * * *",
    doc_md=__doc__,
    tags=["streams"],
    **shared(),
):
    wire(STEPS)
