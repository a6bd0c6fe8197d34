"""Users over 30 days: segments by recency, frequency and money, habits, and the risk of churn."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows

from streaming.batch.lookups import Lookups
from streaming.batch.measures import count_of, mean, minutes, most_frequent, spent

__all__ = ["user_segments"]

DORMANT_DAYS, AT_RISK_DAYS, NEW_DAYS = 21, 10, 7
VIP_PURCHASES, VIP_SHARE = 3, 0.8
WEEK = 7


def user_segments(events: DataFrame, run_date: date, lookups: Lookups) -> Mapping[str, DataFrame]:
    """Two tables of one row for each known user; `events` are those of the 30 days."""
    del lookups
    known = events.where(F.col("user_id").isNotNull())
    return {
        "user_segments": _segments(known, run_date),
        "user_behavior_features": _behavior(known, run_date),
    }


def _segments(events: DataFrame, run_date: date) -> DataFrame:
    """The first that fits: `dormant` and `at_risk` by days without an event, `vip` by purchases and
    by money among the top fifth of buyers, `new` by the first event, else `loyal`.
    """
    users = events.groupBy("user_id").agg(
        F.date_diff(F.lit(run_date), F.max("event_date")).alias("recency_days"),
        F.date_diff(F.lit(run_date), F.min("event_date")).alias("known_days"),
        count_of("purchase").alias("frequency"),
        spent().alias("monetary"),
    )
    buyers = users.where(F.col("frequency") > 0)
    top = buyers.agg(F.percentile("monetary", VIP_SHARE).alias("vip_from"))
    is_vip = (F.col("frequency") >= VIP_PURCHASES) & (F.col("monetary") >= F.col("vip_from"))
    segment = (
        F.when(F.col("recency_days") >= DORMANT_DAYS, "dormant")
        .when(F.col("recency_days") >= AT_RISK_DAYS, "at_risk")
        .when(is_vip, "vip")
        .when(F.col("known_days") < NEW_DAYS, "new")
        .otherwise("loyal")
    )
    return users.crossJoin(F.broadcast(top)).withColumn("segment", segment)


def _behavior(events: DataFrame, run_date: date) -> DataFrame:
    """The features of seed 003."""
    in_week = F.date_diff(F.lit(run_date), F.col("event_date")) < WEEK
    is_view = F.col("event_type").isin("page_view", "product_view")
    users = events.groupBy("user_id").agg(
        F.count_if(is_view & in_week).alias("total_page_views_7d"),
        count_of("purchase").alias("total_purchases_30d"),
        F.try_divide(spent(), count_of("purchase")).alias("avg_order_value"),
        most_frequent("category").alias("preferred_category"),
        most_frequent("device_type").alias("device_type"),
        F.date_diff(F.lit(run_date), F.max("event_date")).alias("last_activity_days_ago"),
        _churn_risk(run_date).alias("churn_risk_score"),
    )
    return users.join(_durations(events), "user_id", "left")


def _churn_risk(run_date: date) -> Column:
    """1 - exp(-days away / usual gap): 0 on a day with events, near 1 after an absence that is long
    for this user. The usual gap is the mean number of days between active days, at least one; a
    user with one active day is taken for one who comes every `NEW_DAYS` days.
    """
    first, last = F.min("event_date"), F.max("event_date")
    active = F.count_distinct("event_date")
    gap = F.coalesce(F.try_divide(F.date_diff(last, first), active - 1), F.lit(float(NEW_DAYS)))
    away = F.date_diff(F.lit(run_date), last)
    return F.lit(1.0) - F.exp(-away / F.greatest(gap, F.lit(1.0)))


def _durations(events: DataFrame) -> DataFrame:
    """The mean length of a user's sessions that have an id, in seconds."""
    sessions = events.where(F.col("session_id").isNotNull()).groupBy("user_id", "session_id")
    long = sessions.agg((minutes(F.min("event_at"), F.max("event_at")) * 60).alias("seconds"))
    return long.groupBy("user_id").agg(mean(F.col("seconds")).alias("avg_session_duration"))
