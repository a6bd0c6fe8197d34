"""The end of the shop's day: its figures in the warehouse, and what Spark computed online."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from features.marts import PUBLISHED
from infra.marts import MartsBuilt, build_marts
from infra.publish import Publication, publish
from infra.settings import Settings

__all__ = ["Loaded", "load_warehouse"]

FIGURES = "fact_daily_metrics"
OF_SPARK = tuple(view for view in PUBLISHED.values() if view.made_by == "spark")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What was built and published."""

    built: MartsBuilt
    published: Publication

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return {**self.built.to_json(), **self.published.to_json()}


def load_warehouse(settings: Settings, run_date: date) -> Loaded:
    """Build `marts.fact_daily_metrics`, and publish the views of the daily Spark jobs.

    Raises `MartsFailed` and `PublishFailed`; a repeat gives the same.
    """
    built = build_marts(settings, run_date, [FIGURES])
    published = publish(settings=settings, run_date=run_date, views=OF_SPARK)
    return Loaded(built=built, published=published)
