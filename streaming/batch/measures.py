"""What several daily jobs mean by the same word."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows

__all__ = [
    "count_of",
    "each_product",
    "first_known",
    "mean",
    "minutes",
    "most_frequent",
    "ratio",
    "spent",
    "total",
]


def spent() -> Column:
    """What purchases cost, 0 where there is none; one whose amount is unknown adds nothing."""
    return total(F.when(F.col("event_type") == "purchase", F.col("total_amount")))


def total(of: Column) -> Column:
    """The sum, 0 of nothing, and the same to the last bit whatever the order of the rows: a repeat
    of a day leaves the same table.
    """
    return F.aggregate(F.sort_array(F.collect_list(of)), F.lit(0.0), lambda some, one: some + one)


def mean(of: Column) -> Column:
    """The mean likewise; null of nothing."""
    return F.try_divide(total(of), F.count(of))


def count_of(event_type: str) -> Column:
    """How many events of one type."""
    return F.count_if(F.col("event_type") == event_type)


def each_product(events: DataFrame) -> DataFrame:
    """The events of products; a purchase of several items stands there for each of them."""
    each = F.when(F.size("items") > 0, F.col("items.product_id"))
    named = F.explode(F.coalesce(each, F.array("product_id"))).alias("product_id")
    others = (name for name in events.columns if name != "product_id")
    return events.select(named, *others).where(F.col("product_id").isNotNull())


def first_known(column: str) -> Column:
    """The value of the earliest event that has one; of two at once, that of the lower id."""
    at = F.when(F.col(column).isNotNull(), F.struct("event_at", "event_id"))
    return F.min_by(column, at)


def most_frequent(column: str) -> Column:
    """The value that most events have; of several the first by alphabet."""
    return F.mode(column, deterministic=True)


def minutes(first: Column, last: Column) -> Column:
    """From `first` to `last`."""
    return (F.unix_micros(last) - F.unix_micros(first)) / F.lit(60_000_000.0)


def ratio(part: Column, whole: Column) -> Column:
    """Null where there is nothing to be a part of."""
    return F.try_divide(part, whole)
