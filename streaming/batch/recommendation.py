"""What a recommender needs of 30 days: users and products, and products that go together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows

from streaming.batch.lookups import Lookups
from streaming.batch.measures import count_of

__all__ = ["recommendation_features"]

# A bot that looks at everything must not make a pair of all products.
MOST_OF_A_USER = 50
MOST_PAIRS = 50
WEIGHTS = {"product_view": 1, "click": 1, "add_to_cart": 3, "purchase": 5}


def recommendation_features(
    events: DataFrame, run_date: date, lookups: Lookups
) -> Mapping[str, DataFrame]:
    """`user_product_features`: one row for each user and product that he touched. `product_pairs`:
    for each product up to `MOST_PAIRS` others, by the number of users who touched both.
    """
    del run_date, lookups
    touched = events.where(F.col("user_id").isNotNull() & F.col("product_id").isNotNull())
    touched = touched.where(F.col("event_type").isin(*WEIGHTS))
    weight = F.create_map(*(F.lit(part) for pair in WEIGHTS.items() for part in pair))
    users = touched.groupBy("user_id", "product_id").agg(
        *(count_of(name).alias(f"{name}_count") for name in WEIGHTS),
        F.sum(weight[F.col("event_type")]).alias("affinity"),
        F.max("event_at").alias("last_event_at"),
    )
    return {"user_product_features": users, "product_pairs": _pairs(users)}


def _pairs(users: DataFrame) -> DataFrame:
    newest = Window.partitionBy("user_id").orderBy(F.desc("last_event_at"), "product_id")
    taken = users.withColumn("place", F.row_number().over(newest))
    taken = taken.where(F.col("place") <= MOST_OF_A_USER).select("user_id", "product_id")
    other = taken.withColumnRenamed("product_id", "other_product_id")
    pairs = taken.join(other, "user_id").where(F.col("product_id") != F.col("other_product_id"))
    counted = pairs.groupBy("product_id", "other_product_id").agg(F.count("*").alias("users"))
    best = Window.partitionBy("product_id").orderBy(F.desc("users"), "other_product_id")
    ranked = counted.withColumn("place", F.row_number().over(best))
    return ranked.where(F.col("place") <= MOST_PAIRS)
