"""The batch half of the demo: what the stream archived today becomes marts and batch views."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from infra.daily_jobs import run_daily_jobs
from infra.demo.steps import Steps
from infra.marts import MartsBuilt, build_marts
from infra.publish import Publication, publish
from infra.raw_load import RawDay, load_archived
from infra.settings import Settings

__all__ = ["Batch", "run_batch"]

# What is published of the daily Spark jobs: all of them would take the demo longer.
DAILY = ["user_segments", "recommendation_features"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What each step of a day found and wrote."""

    raw: RawDay
    marts: MartsBuilt
    published: Publication


def run_batch(settings: Settings, day: date, steps: Steps) -> Batch:
    """The steps that Airflow runs once a day, for the archived events of `day`."""
    with steps.step("Check the archived events of the day and load them"):
        raw = load_archived(settings, day)
    with steps.step("Build and test the marts with dbt"):
        marts = build_marts(settings, day)
    with steps.step("Compute segments, and products that go together, with Spark"):
        run_daily_jobs(settings, DAILY, day)
    with steps.step("Publish the batch views"):
        published = publish(settings=settings, run_date=day)
    return Batch(raw=raw, marts=marts, published=published)
