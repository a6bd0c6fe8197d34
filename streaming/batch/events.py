"""The day's events of shoppers, with device and place, and what is counted of them (seed 003)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows

from streaming.batch.lookups import DEVICE, PLACE, Lookups, looked_up
from streaming.batch.measures import count_of, each_product, first_known, minutes, ratio, spent

__all__ = ["process_events"]


def process_events(events: DataFrame, run_date: date, lookups: Lookups) -> Mapping[str, DataFrame]:
    """The five tables of the day; `events` are those of the run date."""
    del run_date
    processed = (
        events.withColumn("event_hour", F.hour("event_at"))
        .withColumn("agent", looked_up(lookups.device, F.col("user_agent"), DEVICE))
        .withColumn("place", looked_up(lookups.place, F.col("ip"), PLACE))
        # What a client says of itself is worth more than what its user agent looks like.
        .withColumn("device", F.coalesce("device_type", "agent.device_type"))
        .withColumn("country", F.col("place.country"))
        # Places stand for addresses from here on: these are personal data.
        .drop("ip", "user_agent")
    )
    return {
        "processed_events": processed,
        "session_metrics": _sessions(processed),
        "user_daily_metrics": _users(processed),
        "product_metrics": _products(processed),
        "quality_metrics": _quality(processed),
    }


def _sessions(events: DataFrame) -> DataFrame:
    """One row for each session, user and day; a session without an id has none."""
    named = events.where(F.col("session_id").isNotNull())
    return (
        named.groupBy("session_id", "user_id", "event_date")
        .agg(
            F.count("*").alias("total_events"),
            F.count_distinct("event_type").alias("unique_event_types"),
            count_of("page_view").alias("page_views"),
            count_of("click").alias("clicks"),
            count_of("purchase").alias("purchases"),
            F.min("event_at").alias("session_start"),
            F.max("event_at").alias("session_end"),
            F.sort_array(F.collect_set("page_url")).alias("pages_visited"),
            first_known("country").alias("country"),
            first_known("device").alias("device_type"),
        )
        .withColumn(
            "session_duration_minutes", minutes(F.col("session_start"), F.col("session_end"))
        )
        .withColumn("has_conversion", F.col("purchases") > 0)
    )


def _users(events: DataFrame) -> DataFrame:
    """One row for each known user and day."""
    return (
        events.where(F.col("user_id").isNotNull())
        .groupBy("user_id", "event_date")
        .agg(
            F.count_distinct("session_id").alias("sessions"),
            F.count("*").alias("total_events"),
            count_of("page_view").alias("page_views"),
            count_of("purchase").alias("purchases"),
            spent().alias("total_spent"),
            F.sort_array(F.collect_set("category")).alias("categories_viewed"),
            first_known("country").alias("country"),
            first_known("device").alias("primary_device"),
        )
    )


def _products(events: DataFrame) -> DataFrame:
    """One row for each product and day; a purchase of several items counts for each of them."""
    return (
        each_product(events)
        .groupBy("product_id", "event_date")
        .agg(
            count_of("product_view").alias("views"),
            count_of("click").alias("clicks"),
            count_of("add_to_cart").alias("cart_adds"),
            count_of("purchase").alias("purchases"),
            F.count_distinct("user_id").alias("unique_users"),
            first_known("category").alias("category"),
            first_known("price").alias("price"),
        )
        .withColumn("view_to_cart_rate", ratio(F.col("cart_adds"), F.col("views")))
        .withColumn("cart_to_purchase_rate", ratio(F.col("purchases"), F.col("cart_adds")))
    )


def _quality(events: DataFrame) -> DataFrame:
    """One row for the day, of a day without events too."""
    return events.agg(
        F.count("*").alias("total_events"),
        F.count_distinct("user_id").alias("unique_users"),
        F.count_distinct("session_id").alias("unique_sessions"),
        ratio(F.count_if(F.col("user_id").isNull()), F.count("*")).alias("null_user_rate"),
        F.sort_array(F.collect_set("event_type")).alias("event_types"),
    )
