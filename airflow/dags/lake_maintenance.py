"""The lake's upkeep, every four hours: small files become large ones, files that no version needs
any more go, and so does what is older than it is to be kept. Streams may run meanwhile; they add a
file to each table every second, and every commit takes the longer the more there are.
"""

from airflow.sdk import DAG
from wiring import Step, shared, wire

STEPS = {
    "optimize": Step(calls="infra.maintenance:optimize", dated="never"),
    "vacuum": Step(calls="infra.maintenance:vacuum", after=("optimize",), dated="never"),
    "retention": Step(calls="infra.maintenance:retain", after=("vacuum",)),
}

with DAG(
    "lake_maintenance",
    schedule="0 */4 * * *",
    doc_md=__doc__,
    tags=["lake"],
    **shared(),
):
    wire(STEPS, last="retention")
