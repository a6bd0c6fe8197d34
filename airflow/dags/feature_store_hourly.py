"""The features that batch makes, every hour: sessions become users, episodes and what is told of
them in dbt; what came of it passes its gate; and then readers get it online, each view as a whole
or not at all.
"""

from airflow.sdk import DAG
from wiring import Step, shared, wire

# What is published.
FEATURES = (
    "user_features",
    "episode_features",
    "segment_features",
    "experiment_results",
    "content_quality",
)

STEPS = {
    "build_features": Step(calls="infra.marts:build_marts", given={"select": FEATURES}),
    "quality_gate": Step(
        calls="infra.quality:run_suite",
        given={"suite": "marts", "tables": FEATURES},
        after=("build_features",),
    ),
    "publish_online": Step(calls="infra.publish:publish", after=("quality_gate",)),
}

with DAG(
    "feature_store_hourly",
    schedule="20 * * * *",
    doc_md=__doc__,
    tags=["features", "hourly"],
    **shared(),
):
    wire(STEPS, last="publish_online")
