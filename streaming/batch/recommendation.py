"""What a recommender needs of 30 days: users and products, and products that go together."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows

from streaming.batch.lookups import Lookups
from streaming.batch.measures import count_of, each_product

__all__ = ["recommendation_features"]

# A bot that looks at everything must not make a pair of all products.
MOST_OF_A_USER = 50
MOST_RELATED = 50
WEIGHTS = {"product_view": 1, "click": 1, "add_to_cart": 3, "purchase": 5}


def recommendation_features(
    events: DataFrame, run_date: date, lookups: Lookups
) -> Mapping[str, DataFrame]:
    """`user_product_features`: one row for each user and product that they touched.
    `user_recommendation_features`: of each user up to `MOST_OF_A_USER` of these, the dearest first.
    `related_products`: for each product up to `MOST_RELATED` others, by how many users touched
    both.
    """
    del run_date, lookups
    known = events.where(F.col("user_id").isNotNull() & F.col("event_type").isin(*WEIGHTS))
    weight = F.create_map(*(F.lit(part) for pair in WEIGHTS.items() for part in pair))
    touched = (
        each_product(known)
        .groupBy("user_id", "product_id")
        .agg(
            *(count_of(name).alias(f"{name}_count") for name in WEIGHTS),
            F.sum(weight[F.col("event_type")]).alias("affinity"),
            F.max("event_at").alias("last_event_at"),
        )
    )
    return {
        "user_product_features": touched,
        "user_recommendation_features": _dearest(touched),
        "related_products": _related(touched),
    }


def _dearest(touched: DataFrame) -> DataFrame:
    dearest = Window.partitionBy("user_id").orderBy(F.desc("affinity"), "product_id")
    fields = ("product_id", "affinity", "purchase_count")
    return (
        touched.withColumn("place", F.row_number().over(dearest))
        .groupBy("user_id")
        .agg(
            F.count("*").alias("product_count"),
            _listed(MOST_OF_A_USER, *fields).alias("products"),
            F.max("last_event_at").alias("last_event_at"),
        )
    )


def _related(touched: DataFrame) -> DataFrame:
    """The cosine of two products: of the geometric mean of their users, how many touched both."""
    newest = Window.partitionBy("user_id").orderBy(F.desc("last_event_at"), "product_id")
    taken = touched.withColumn("place", F.row_number().over(newest))
    taken = taken.where(F.col("place") <= MOST_OF_A_USER).select("user_id", "product_id")
    of_each = taken.groupBy("product_id").agg(F.count("*").alias("user_count"))
    other = taken.withColumnRenamed("product_id", "other_id")
    pairs = taken.join(other, "user_id").where(F.col("product_id") != F.col("other_id"))
    counted = pairs.groupBy("product_id", "other_id").agg(F.count("*").alias("users"))
    best = Window.partitionBy("product_id").orderBy(F.desc("users"), "other_id")
    ranked = counted.withColumn("place", F.row_number().over(best))
    of_other = of_each.select(F.col("product_id").alias("other_id"), F.col("user_count").alias("n"))
    score = F.col("users") / F.sqrt(F.col("user_count") * F.col("n"))
    fields = (F.col("other_id").alias("product_id"), "users", score.alias("score"))
    return (
        ranked.where(F.col("place") <= MOST_RELATED)
        .join(of_each, "product_id")
        .join(of_other, "other_id")
        .groupBy("product_id", "user_count")
        .agg(_listed(MOST_RELATED, *fields).alias("products"))
    )


def _listed(most: int, *fields: Column | str) -> Column:
    """The rows up to a `place` as a list of these fields, in the order of their places."""
    one = F.struct("place", F.struct(*fields).alias("entry"))
    placed = F.sort_array(F.collect_list(F.when(F.col("place") <= most, one)))
    return F.transform(placed, lambda row: row["entry"])
