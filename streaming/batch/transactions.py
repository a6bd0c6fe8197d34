"""The day's payments: totals for the warehouse, and what was sold."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows

from streaming.batch.lookups import Lookups
from streaming.batch.measures import total

__all__ = ["aggregate_transactions"]


def aggregate_transactions(
    transactions: DataFrame, run_date: date, lookups: Lookups
) -> Mapping[str, DataFrame]:
    """A payment whose status changed counts once, in its last status of the day."""
    del run_date, lookups
    newest = F.max_by(F.struct(*transactions.columns), F.struct("event_at", "event_id"))
    last = transactions.groupBy("transaction_id").agg(newest.alias("last")).select("last.*")
    return {"transaction_totals": _totals(last), "transaction_products": _products(last)}


def _totals(transactions: DataFrame) -> DataFrame:
    return transactions.groupBy("event_date", "currency", "payment_method", "status").agg(
        F.count("*").alias("transactions"),
        F.count_distinct("user_id").alias("unique_users"),
        total(F.col("total_amount")).alias("total_amount"),
    )


def _products(transactions: DataFrame) -> DataFrame:
    items = transactions.select(
        "event_date", "currency", "status", F.explode("order_items").alias("item")
    )
    return items.groupBy("event_date", "currency", "status", "item.product_id").agg(
        F.sum("item.quantity").alias("quantity"),
        total(F.col("item.quantity") * F.col("item.price")).alias("revenue"),
    )
